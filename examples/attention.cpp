// A host in C++: attention of one decoder layer through nysjit.hpp, and what an error says.
//   attention_cpp
// It links with libnysjit alone, by find_package(nysjit) or pkg-config; nysjit-compiler is found
// where it was installed. docs/embedding.md shows it whole.
#include "nysjit.hpp"

#include <cstdint>
#include <cstdio>
#include <vector>

namespace {

/// A DLTensor [1, heads, length, 64] of float32 and its elements.
struct Tensor {
  Tensor(std::int64_t heads, std::int64_t length, float first)
      : shape{1, heads, length, 64}, elements(static_cast<std::size_t>(heads * length * 64)) {
    for (std::size_t i = 0; i < elements.size(); ++i)
      elements[i] = first + static_cast<float>(i * 7 % 64) / 64;
    view.data = elements.data();
    view.device = {kDLCPU, 0};
    view.ndim = 4;
    view.dtype = {kDLFloat, 32, 1};
    view.shape = shape; // strides stay null: row-major
  }
  Tensor(const Tensor &) = delete;

  std::int64_t shape[4];
  std::vector<float> elements;
  DLTensor view = {};
};

} // namespace

int main() {
  try {
    nysjit::Context context;
    const nysjit::Program program = context.prepare(
        R"({"layout": "causal", "head_dim": 64, "landmarks": 64, "segment_len": 32})");
    std::printf("causal for %s: %s\n", program.info().target, program.info().cache);

    // Eight heads of queries share two of keys and values.
    Tensor q(8, 1000, -1);
    Tensor k(2, 1000, 0);
    Tensor v(2, 1000, 1);
    Tensor o(8, 1000, 0);
    nysjit::RunArgs args;
    args.q = &q.view;
    args.k = &k.view;
    args.v = &v.view;
    args.o = &o.view;
    program.run(args);
    std::printf("o[0, 0, 0, :2] = %g %g, the first position's own value\n", o.elements[0],
                o.elements[1]);

    context.prepare(R"({"layout": "causal", "head_dim": 65, "landmarks": 64})");
  } catch (const nysjit::Error &error) {
    std::printf("%s: %s\n", nysjit_status_name(error.status()), error.what());
    return error.status() == NYSJIT_INVALID_KEY ? 0 : 1; // 65 is what should be refused
  }
  return 1;
}
