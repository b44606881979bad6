// docs/spec.md is what the tables say.
#include "runtime/spec/config_table.h"
#include "runtime/spec/key_table.h"
#include "runtime/spec/tensor_table.h"
#include "tests/spec/spec_page.h"

#include <fstream>
#include <gtest/gtest.h>
#include <sstream>

using namespace nysjit;

namespace {

TEST(SpecPage, IsTheOneInDocs) {
  std::ostringstream text;
  text << std::ifstream(NYSJIT_SOURCE_DIR "/docs/spec.md").rdbuf();
  EXPECT_EQ(text.str(), specPage()) << "docs/spec.md is not what the tables say; rewrite it by\n  "
                                    << "build/bin/spec_page > docs/spec.md";
}

/// One sentence, that is, and no column of its own.
void expectSentence(const std::string &key, const std::string &meaning) {
  EXPECT_TRUE(meaning.ends_with('.')) << key;
  EXPECT_EQ(meaning.find('.'), meaning.size() - 1) << key;
  EXPECT_EQ(meaning.find('|'), std::string::npos) << key;
}

TEST(SpecPage, EveryKeyHasItsMeaning) {
  for (const KeyRow &row : keyTable())
    expectSentence(row.name, row.meaning);
  for (const ConfigRow &row : configTable())
    expectSentence(row.name, row.meaning);
  for (const TensorRow &row : tensorTable())
    expectSentence(row.name, row.meaning);
}

TEST(SpecPage, ARowSaysWhatItsKeyTakes) {
  const std::string page = specPage();
  for (const char *row :
       {"| `head_dim` | integer, 16–256, multiple of 8 | needed | all | ",
        "| `landmarks` | integer, 1–1024; to 512 in `bidirectional`, `prefix_lm`, `scan`; to 65536 "
        "if "
        "landmark_spacing is dyadic | needed "
        "| "
        "all but `exact_causal` | ",
        "| `window` | integer, 0–`landmarks` | `0` | `causal` | ",
        "| `stabilizer` | number, 0–1000000 | `0.25` | `causal`, `segment_causal`, `prefix_lm`; "
        "unless landmark_value is streaming or landmark_source is learned | ",
        "| `float32_math` | `tf32x3`, `tf32` | `tf32x3` | all; if dtype is float32 | ",
        "| `split` | 0, or integer, 256–1073741824, power of two | ",
        "| `k` | [B, Hkv, n, d], packed [total, Hkv, d] | `dtype` | input | all | `--k` | ",
        "| `conv` | [Hq, c] | `dtype` | input | all but `exact_causal`; if conv_kernel is not 0 | "
        "`--conv` | ",
        "| `seq_starts` | [B] | int32 | input, optional | all | `--seq-starts` | ",
        "| `dq` | [B, Hq, n, d], packed [total, Hq, d] | float32 or `dtype` | output, optional | "
        "all; if pass is backward | `--dq` | "})
    EXPECT_NE(page.find(row), std::string::npos) << row;
}

} // namespace
