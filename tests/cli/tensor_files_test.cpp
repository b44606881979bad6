// Tensor files that are damaged, lie, or do not fit: exit 2, the flag named, nothing written. None
// of these compiles.
#include "tests/cli/command.h"

namespace {

class TensorFiles : public CommandTest {
protected:
  nlohmann::json fail(const std::string &kind, const std::string &spec = "exact.json") {
    return expectFailure(
        {"run", spec, "--q", "q.npy", "--k", "k.npy", "--v", "v.npy", "-o", "o.npy"}, 2, kind);
  }
  static std::string dictionary(const std::string &shape, const std::string &descr = "<f4",
                                const std::string &order = "False") {
    return "{'descr': '" + descr + "', 'fortran_order': " + order + ", 'shape': " + shape + ", }";
  }
};

TEST_F(TensorFiles, AnAbsentOneIsNamed) {
  std::filesystem::remove(folder / "k.npy");
  EXPECT_EQ(fail("invalid_file")["where"], "--k");
}

TEST_F(TensorFiles, OneThatIsNoNpyIsNamed) {
  for (const std::string &bytes :
       {std::string(), std::string("\x93NUMPY"), std::string("hello"), std::string(1000, '\0'),
        npyBytes("{}", ""), npyBytes("][", "")}) {
    write("v.npy", bytes);
    EXPECT_EQ(fail("invalid_file")["where"], "--v");
  }
}

TEST_F(TensorFiles, ATruncatedOneIsNamed) {
  std::string whole = read("q.npy");
  for (size_t size : {size_t(9), size_t(40), whole.size() - 1, whole.size() / 2}) {
    write("q.npy", whole.substr(0, size));
    EXPECT_EQ(fail("invalid_file")["where"], "--q") << size;
  }
}

TEST_F(TensorFiles, ALyingShapeAllocatesNothing) {
  for (const char *shape :
       {"(100000000000,)", "(1, 2, 4294967296, 4294967296)", "(1, 2, 12, 17)", "(1, 2, -12, 16)",
        "(1, 2, 9223372036854775807, 2)", "(99999999999999999999999,)"}) {
    write("q.npy", npyBytes(dictionary(shape), std::string(1536, 'x')));
    EXPECT_EQ(fail("invalid_file")["where"], "--q") << shape;
  }
}

TEST_F(TensorFiles, OtherTypesSayWhatIsExpected) {
  const std::string payload(2 * 12 * 16 * 8, '\0');
  for (const char *type : {"<i8", "<c8", "|O", "<V2"}) {
    const bool isRead = type != std::string("<c8") && type != std::string("|O");
    write("k.npy", npyBytes(dictionary("(1, 2, 12, 16)", type),
                            type[1] == 'V' ? payload.substr(0, 768) : payload));
    const nlohmann::json error = fail(isRead ? "invalid_shape" : "invalid_file");
    EXPECT_EQ(error["where"], "--k");
    EXPECT_NE(error["expected"].get<std::string>().find("bfloat16"), std::string::npos) << error;
    EXPECT_NE(error["found"].get<std::string>().find(type[1] == 'V'   ? "bfloat16 (V2)"
                                                     : type[1] == 'i' ? "int64"
                                                                      : type),
              std::string::npos)
        << error;
  }
}

TEST_F(TensorFiles, OneInputMayComeFromStandardInput) {
  const nlohmann::json error =
      expectFailure({"run", "exact.json", "--q", "-", "--k", "-", "--v", "v.npy", "-o", "o.npy"}, 2,
                    "invalid_argument");
  EXPECT_EQ(error["message"],
            "--k: expected a file other than standard input, which --q takes, found \"-\"");
}

TEST_F(TensorFiles, AWrongRankOrHeadDimIsNamed) {
  for (const std::vector<int64_t> &shape :
       {std::vector<int64_t>{2, 12, 16}, {12, 16}, {}, {1, 1, 2, 12, 16}, {1, 2, 12, 32}}) {
    writeTensor("q.npy", shape, 4);
    nlohmann::json error = fail("invalid_shape");
    EXPECT_EQ(error["where"], "--q");
    EXPECT_EQ(error["expected"], "shape [B, Hq, n, 16]");
  }
}

TEST_F(TensorFiles, KeysAndValuesThatDoNotFitTheQueriesAreNamed) {
  for (const std::vector<int64_t> &shape :
       {std::vector<int64_t>{2, 2, 12, 16}, {1, 2, 13, 16}, {1, 2, 12, 8}, {12, 16}}) {
    writeTensor("k.npy", shape, 4);
    EXPECT_EQ(fail("invalid_shape")["where"], "--k");
  }
  writeTensor("k.npy", {1, 2, 12, 16}, 4);
  writeTensor("v.npy", {1, 1, 12, 16}, 4);
  nlohmann::json error = fail("invalid_shape");
  EXPECT_EQ(error["where"], "--v");
  EXPECT_EQ(error["expected"], "shape [1, 2, 12, 16], as --k");
  EXPECT_EQ(error["found"], "[1, 1, 12, 16]");
}

TEST_F(TensorFiles, KeyHeadsDivideQueryHeads) {
  for (int64_t heads : {0, 3, 4}) {
    writeTensor("k.npy", {1, heads, 12, 16}, 4);
    writeTensor("v.npy", {1, heads, 12, 16}, 4);
    nlohmann::json error = fail("invalid_shape");
    EXPECT_EQ(error["where"], "--k");
    EXPECT_NE(error["expected"].get<std::string>().find("divide"), std::string::npos) << error;
  }
}

TEST_F(TensorFiles, AnOutputThatCannotBeWrittenIsKnownFirst) {
  for (const char *path : {"absent/o.npy", ".", "q.npy/o.npy"}) {
    nlohmann::json error = expectFailure(
        {"run", "exact.json", "--q", "q.npy", "--k", "k.npy", "--v", "v.npy", "-o", path}, 2,
        "invalid_file");
    EXPECT_EQ(error["where"], "-o");
  }
}

TEST_F(TensorFiles, TwoOutputsAreTwoFiles) {
  const auto fails = [&](const std::string &dq, const std::string &dk, const std::string &dout,
                         const std::string &kind) {
    return expectFailure({"run", "exact.json", "--q", "q.npy", "--k", "k.npy", "--v", "v.npy", "-o",
                          "o.npy", "--dout", dout, "--dq", dq, "--dk", dk},
                         2, kind)["where"];
  };
  write("old", "old");
  std::filesystem::create_hard_link(folder / "old", folder / "other_name");
  std::filesystem::create_symlink("not_there_yet", folder / "link");
  for (const auto &[dq, dk, named] : {std::tuple("o.npy", "dk.npy", "--dq"),
                                      {"./o.npy", "dk.npy", "--dq"},
                                      {"dq.npy", "dq.npy", "--dk"},
                                      {"link", "not_there_yet", "--dk"},
                                      {"old", "other_name", "--dk"}})
    EXPECT_EQ(fails(dq, dk, "q.npy", "invalid_argument"), named);
  EXPECT_EQ(read("old"), "old");
  // A device takes any number: the error is of what is looked at after the outputs.
  EXPECT_EQ(fails("/dev/null", "/dev/null", "absent.npy", "invalid_file"), "--dout");
}

TEST_F(TensorFiles, AFailureKeepsAnOlderOutput) {
  write("old.npy", "precious");
  writeTensor("q.npy", {1}, 4);
  expectFailure(
      {"run", "exact.json", "--q", "q.npy", "--k", "k.npy", "--v", "v.npy", "-o", "old.npy"}, 2,
      "invalid_shape");
  EXPECT_EQ(read("old.npy"), "precious");
}

} // namespace
