// control.cu and calls.cu: lanes that part and meet again, tables of branches, calls, local memory.
#include "tests/emulator/fixture.h"

#include <algorithm>

using namespace nysjit::emulator_test;

namespace {

struct ControlFixture : Fixture {};
NYSJIT_EVERY_MODE(ControlFixture);

int dispatched(int op, int x, int y, int before) {
  switch (op) {
  case 0: return x + y;
  case 1: return x - y;
  case 2: return x * y;
  case 3: return y ? x / y : -1;
  case 4: return y ? x % y : -2;
  case 5: return x & y;
  case 6: return x | y;
  case 7: return x ^ y;
  case 8: return int(std::ceil(std::sqrt(double(x & 1023))));
  case 9: return __builtin_popcount(unsigned(x)) + before;
  case 10: return std::min(x, y);
  case 11: return std::max(x, y);
  }
  return -3;
}

} // namespace

TEST_P(ControlFixture, Collatz) {
  Module module(compiled("control"));
  const int n = 150;
  const std::vector<unsigned> values = random<unsigned>(n, 1, 100000);
  std::vector<unsigned> expected;
  for (uint64_t value : values) {
    unsigned steps = 0;
    for (; value != 1; ++steps)
      value = value % 2 ? 3 * value + 1 : value / 2;
    expected.push_back(steps);
  }
  Buffer<unsigned> in(values);
  Buffer<unsigned> out(n);
  module.kernel("collatz").launch(3, 64, 0, in, out, n);
  EXPECT_EQ(out.read(), expected);
}

TEST_P(ControlFixture, LeaveEarly) {
  Module module(compiled("control"));
  Buffer<int> out(32);
  module.kernel("leaveEarly").launch(1, 32, 0, out);
  std::vector<int> expected;
  for (int lane = 0; lane < 32; ++lane)
    expected.push_back(lane * (lane - 1) / 2);
  EXPECT_EQ(out.read(), expected);
}

TEST_P(ControlFixture, Dispatch) {
  Module module(compiled("control"));
  const int n = 400;
  const std::vector<int> op = random<int>(n, 0, 14);
  const std::vector<int> a = random<int>(n, -5000, 5000);
  const std::vector<int> b = random<int>(n, -20, 20);
  const std::vector<int> before(n, 1000);
  std::vector<int> expected;
  for (int i = 0; i < n; ++i)
    expected.push_back(dispatched(op[i], a[i], b[i], before[i]));
  Buffer<int> ops(op);
  Buffer<int> as(a);
  Buffer<int> bs(b);
  Buffer<int> out(before);
  module.kernel("dispatch").launch(4, 128, 0, ops, as, bs, out, n);
  EXPECT_EQ(out.read(), expected);
}

TEST_P(ControlFixture, Factor) {
  Module module(compiled("control"));
  const int n = 64;
  const int limit = 30;
  const std::vector<int> values = random<int>(n, 4, 600);
  std::vector<int> expected(n, -1);
  for (int i = 0; i < n; ++i)
    for (int p = limit - 1; p >= 2; --p)
      if (values[i] % p == 0 && values[i] / p > p && values[i] / p < limit)
        expected[i] = p * 1000 + values[i] / p;
  Buffer<int> in(values);
  Buffer<int> out(n);
  module.kernel("factor").launch(1, n, 0, in, out, limit, n);
  EXPECT_EQ(out.read(), expected);
}

TEST_P(ControlFixture, BranchTable) {
  Module module(compiled("control"));
  const std::vector<int> values = random<int>(128, -1000, 1000);
  std::vector<int> expected;
  for (int i = 0; i < 128; ++i)
    expected.push_back(i % 4 == 0   ? 2 * values[i]
                       : i % 4 == 1 ? values[i] + 100
                       : i % 4 == 2 ? values[i]
                                    : -1);
  Buffer<int> in(values);
  Buffer<int> out(128);
  module.kernel("branchTable").launch(2, 64, 0, in, out);
  EXPECT_EQ(out.read(), expected);
}

TEST_P(ControlFixture, SortInLocalMemory) {
  Module module(compiled("calls"));
  const int n = 70;
  std::vector<int> values = random<int>(8 * n, -100, 100);
  Buffer<int> in(values);
  Buffer<int> out(8 * n);
  module.kernel("sortEights").launch(3, 32, 0, in, out, n);
  for (int i = 0; i < n; ++i)
    std::sort(&values[8 * i], &values[8 * i] + 8);
  EXPECT_EQ(out.read(), values);
}

TEST_P(ControlFixture, StructsByValue) {
  Module module(compiled("calls"));
  const std::vector<int> first = random<int>(48, -100, 100);
  const std::vector<double> second = random<double>(48, -10, 10);
  std::vector<int> expectedFirst;
  std::vector<double> expectedSecond;
  for (int i = 0; i < 48; ++i) {
    expectedFirst.push_back(first[i] * 2 + (first[i] + 1) * 3);
    expectedSecond.push_back(second[i] * 5 - second[i] / 2);
  }
  Buffer<int> firsts(first);
  Buffer<int> outFirst(48);
  Buffer<double> seconds(second);
  Buffer<double> outSecond(48);
  module.kernel("combineAll").launch(1, 48, 0, firsts, seconds, outFirst, outSecond);
  EXPECT_EQ(outFirst.read(), expectedFirst);
  expectNear(outSecond.read(), expectedSecond, 1e-15, 1e-14);
}

TEST_P(ControlFixture, DISABLED_Recursion) {
  Module module(compiled("recursion"));
  Buffer<int> out(40);
  module.kernel("fibonaccis").launch(1, 40, 0, out);
  const int fibonacci[] = {0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89};
  std::vector<int> expected;
  for (int i = 0; i < 40; ++i)
    expected.push_back(fibonacci[i % 12]);
  EXPECT_EQ(out.read(), expected);
}
