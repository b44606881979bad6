// A row of the table of tensors is all that a flag of `nysjit run` takes: each has its help,
// reaches the run's tensors by name and names errors.
#include "runtime/cli/options.h"
#include "runtime/cli/program.h"
#include "runtime/spec/tensor_table.h"
#include "tests/cli/command.h"

using namespace nysjit;
using namespace nysjit::cli;

namespace {

class TensorFlags : public CommandTest {
protected:
  /// The tensors of a run with these flags and more.
  static TensorFiles parse(std::vector<const char *> more) {
    std::vector<const char *> arguments = {"nysjit", "run", "s.json", "--q", "q", "--k",
                                           "k",      "--v", "v",      "-o",  "o"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    Result<Options> options = parseCommandLine(int(arguments.size()), arguments.data());
    EXPECT_TRUE(options.ok()) << options.error().message;
    return options ? std::get<RunOptions>(options->command).tensors : TensorFiles();
  }
};

TEST_F(TensorFlags, EachIsInTheHelpInTheTablesOrder) {
  const std::string help = nysjit({"run", "--help"}).out;
  size_t last = 0;
  for (const TensorRow &row : tensorTable())
    if (row.flag) {
      const size_t place = help.find("\n  " + std::string(row.flag) + " FILE ");
      ASSERT_NE(place, std::string::npos) << row.flag;
      EXPECT_GT(place, last) << row.flag;
      last = place;
    }
}

TEST_F(TensorFlags, EachReachesTheRunByItsName) {
  for (const TensorRow &row : tensorTable())
    if (row.flag) {
      std::vector<const char *> more;
      if (!isAlwaysNeeded(row))
        more = {row.flag, "a file of its own"};
      const bool isStarts = row.name == std::string_view("seq_starts");
      if (isStarts)
        more.insert(more.end(), {"--seqlens", "another"});
      const bool isGradient = row.role == TensorRole::OptionalOutput;
      if (isGradient)
        more.insert(more.end(), {"--dout", "another"});
      const TensorFiles files = parse(more);
      EXPECT_EQ(files.count(row.name), 1u) << row.name;
      EXPECT_EQ(files.size(), (isAlwaysNeeded(row) ? 4u : 5u) + isStarts + isGradient) << row.name;
    }
}

TEST_F(TensorFlags, EachNamesTheLibrarysErrors) {
  for (const TensorRow &row : tensorTable()) {
    const std::string name = row.name;
    const Error error = namedByFlag(
        Error::mismatch(ErrorKind::InvalidShape, name + ".shape[1]", "one thing", "another"));
    const std::string shown = row.flag ? row.flag : name;
    EXPECT_EQ(error.where, shown + ".shape[1]");
    EXPECT_EQ(error.message, shown + ".shape[1]: expected one thing, found another");
  }
}

TEST_F(TensorFlags, OneThatTheSpecHasNoUseForIsRefused) {
  for (const TensorRow &row : tensorTable()) {
    const Result<KernelSpec> exact =
        parseKernelSpec(std::string_view(R"({"layout":"exact_causal","head_dim":16})"));
    if (!row.flag || usesTensor(row, *exact) || row.name == std::string_view("dout"))
      continue;
    const nlohmann::json error = expectFailure({"run", "exact.json", "--q", "q.npy", "--k", "k.npy",
                                                "--v", "v.npy", "-o", "o.npy", row.flag, "q.npy"},
                                               2, "invalid_argument");
    EXPECT_EQ(error["where"], row.flag);
    EXPECT_EQ(error["expected"], row.role == TensorRole::OptionalOutput
                                     ? "--dout beside it"
                                     : "no such flag with " + tensorReason(row, *exact));
  }
}

} // namespace
