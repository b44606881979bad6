// Which kernels are mutated: a row for each program, with lengths that end in every quarter of a
// tile, as copies see it, and in either half of a warp's 16 rows for both types of output.
#include "tests/conformance/kernel_under_mutation.h"

#include <nlohmann/json.hpp>
#include <sstream>

namespace nysjit::conformance {

namespace {

/// Kernels of one program. DTYPE and STAGES stand for a type and a number of stages.
struct Program {
  std::string name; // its layout, and what else it differs in from other programs of that layout
  std::string spec;
  std::string config;
  std::string kernels;
  std::vector<int64_t> lengths;
  std::vector<int64_t> queryHeads = {1}; // taken in turn by the lengths
};

struct Variant {
  std::string dtype;
  int stages;
};

std::string spec(const std::string &layout, int landmarks, const std::string &more = "") {
  return R"({"layout": ")" + layout + R"(", "head_dim": 32, "dtype": "DTYPE", "landmarks": )" +
         std::to_string(landmarks) + more + "}";
}

/// Blocks of one kernel of a config.
std::string blocks(const std::string &kernel, const std::string &sizes, int warps = 2) {
  return "\"" + kernel + "\": {" + sizes + R"(, "num_stages": STAGES, "num_warps": )" +
         std::to_string(warps) + "}";
}
const char *const square = R"("block_m": 32)";
const char *const tile = R"("block_m": 16)";
const char *const wide = R"("block_m": 32, "block_n": 16)";
const char *const queries = R"("block_m": 64, "block_n": 16)";

/// A row for each store of a kernel that clears ends a sequence.
std::vector<int64_t> clearedLengths() {
  std::vector<int64_t> ends;
  for (int64_t row = 2; row < 64; row += 4)
    ends.push_back(64 + row);
  return ends;
}

/// Partial sums by landmark_past, which `kernel` adds up; or all by `kernel`.
std::string inParts(const std::string &kernel) {
  return "{" + blocks("landmark_past", wide) + ", " +
         blocks(kernel, std::string(wide) + R"(, "split": 256)") + "}";
}
std::string atOnce(const std::string &kernel) {
  return "{" + blocks(kernel, std::string(wide) + R"(, "split": 0)") + "}";
}

const char *const summary = R"({"segment_summary": {"num_stages": STAGES, "num_warps": 4}})";
const char *const summaryKernels = "segment_summary segment_summary_unaligned";
const char *const pastKernels = "landmark_past landmark_past_unaligned";
const std::vector<int64_t> summaryLengths = {411, 327, 384, 135, 2};
const std::vector<int64_t> pastLengths = {85, 646, 78, 513, 27, 10, 20, 5, 640};
const std::vector<int64_t> targetLengths = {98, 285, 270, 262, 1, 221, 10, 20, 27};
const std::vector<int64_t> solveLengths = {95, 274, 1, 128, 72, 80, 87, 88, 97, 98};
const std::vector<int64_t> outputLengths = {82, 91, 66, 385, 62, 386, 104, 129, 1};
const std::vector<int64_t> scanLengths = {82, 646, 91, 513, 27, 640, 1};
const std::vector<int64_t> partsLengths = {282, 646, 291, 513, 527, 640}; // more than one part

/// Summaries, sums of the past, target and solve, as every layout with a triangular solve has them.
void addSolve(std::vector<Program> &all, const std::string &layout) {
  const std::string targets = "landmark_target landmark_target_unaligned";
  all.push_back({layout, spec(layout, 3), summary, summaryKernels, summaryLengths});
  all.push_back({layout, spec(layout, 34), inParts("landmark_target"), pastKernels, pastLengths});
  all.push_back(
      {layout, spec(layout, 100), inParts("landmark_target"), "landmark_target", targetLengths});
  all.push_back(
      {layout + "_at_once", spec(layout, 34), atOnce("landmark_target"), targets, pastLengths});
  all.push_back({layout, spec(layout, 140), "{" + blocks("landmark_solve", square) + "}",
                 "landmark_solve", solveLengths});
}

/// Summaries, sums of the past and inverse, as the layouts with an iterated inverse have them.
void addInverse(std::vector<Program> &all, const std::string &layout,
                const std::string &othersAtOnce = "") {
  const char *const few = R"(, "inverse_iterations": 2)";
  all.push_back({layout, spec(layout, 3), summary, summaryKernels, summaryLengths});
  all.push_back({layout, spec(layout, 34, few), inParts("source_past"),
                 pastKernels + std::string(" source_past"), pastLengths});
  all.push_back({layout + "_at_once", spec(layout, 34, few), atOnce("source_past"),
                 "source_past source_past_unaligned" + othersAtOnce, pastLengths});
  all.push_back({layout,
                 spec(layout, 70, few),
                 "{" + blocks("source_inverse", square) + "}",
                 "source_inverse",
                 {98, 285, 1, 72, 64, 31}});
  all.push_back({layout, spec(layout, 84, few), "{" + blocks("source_output", queries, 4) + "}",
                 "source_output source_output_unaligned", outputLengths});
}

/// Tiles of queries within a segment, over several, and uniform blocks; of three levels' blocks so
/// many that the loop over them turns four times, and of the first queries over several segments
/// one; of uniform ones some that end before each of the columns that a thread has in a tile.
/// Summaries of the probes of one or two heads, which end in either half of a tile of 16, by more
/// warps than such a tile takes (two of them would each store what the other one has to); in six
/// turns of the loop over tiles of keys, so that the last is in another stage than the first of two
/// or three, with a tile that is masked and without, of both sums and of each alone. Merges in two
/// kernels, the second of so many segments that it, too, has whole tiles of blocks; by two warps,
/// as only theirs are races.
void addProbes(std::vector<Program> &all) {
  const std::string learned = R"(, "landmark_source": "learned", "probes": 3)";
  const std::string spacing = R"(, "landmark_spacing": "dyadic", "segment_len": )";
  const std::string many = R"(, "landmark_source": "learned", "probes": 13)" + spacing;
  const std::string few = R"(, "landmark_source": "learned", "probes": 7)" + spacing;
  const std::string two = R"(, "landmark_source": "learned", "probes": 2)" + spacing;
  const std::string outputs = "causal_output causal_output_unaligned";
  const std::string summaries = "probe_summary probe_summary_unaligned";
  const std::string output = "{" + blocks("causal_output", queries, 4) + "}";
  const std::string sizes = R"("block_m": 16, "block_n": 16)";
  const std::string own = "{" + blocks("probe_summary", sizes, 4) + "}";
  const std::string apart = "{" + blocks("probe_summary", sizes + R"(, "fused": 0)", 4) + ", " +
                            blocks("probe_values", sizes, 4) + "}";
  const std::string merges =
      "{" + blocks("probe_merge", tile) + ", " + blocks("probe_merge_5", tile) + "}";
  const std::vector<int64_t> heads = {1, 2};
  all.push_back({"causal_probes",
                 spec("causal", 119, two + R"(64, "window": 1, "level_width": 16)"),
                 output,
                 outputs,
                 {409, 382, 66, 385, 7338, 1}});
  all.push_back({"causal_probes_across",
                 spec("causal", 119, two + R"(5, "window": 11, "level_width": 16)"),
                 output,
                 outputs,
                 {191, 185, 66, 129, 594, 1}});
  all.push_back({"causal_probes_uniform",
                 spec("causal", 64, learned + R"(, "window": 5)"),
                 output,
                 outputs,
                 {77, 55, 586, 578, 7, 105, 770, 85, 1}});
  all.push_back({"causal_probes",
                 spec("causal", 256, few + "87"),
                 own,
                 summaries,
                 {411, 327, 384, 135, 87},
                 heads});
  all.push_back({"causal_probes_whole",
                 spec("causal", 256, few + "96"),
                 own,
                 summaries,
                 {411, 327, 384, 135, 96},
                 heads});
  all.push_back({"causal_probes_apart",
                 spec("causal", 256, few + "87"),
                 apart,
                 summaries + " probe_values probe_values_unaligned",
                 {411, 327, 384, 135, 87},
                 heads});
  all.push_back({"causal_probes",
                 spec("causal", 256, many + "2"),
                 merges,
                 "probe_merge",
                 {411, 383, 130, 256}});
  all.push_back({"causal_probes",
                 spec("causal", 2048, two + "1"),
                 merges,
                 "probe_merge_5",
                 {1535, 2047, 640}});
}

/// Gradients through probes, of ten levels in two kernels whose tiles are full, by two warps, and
/// of several parts of rows, one with so many tiles that their levels begin at any column; of
/// probes of one to three heads; segments that are one tile of positions, and of several.
void addProbesBackward(std::vector<Program> &all) {
  const std::string name = "causal_probes_backward";
  const auto specOf = [](int landmarks, int probes, int segmentLen) {
    return spec("causal", landmarks,
                R"(, "landmark_source": "learned", "landmark_spacing": "dyadic", )"
                R"("pass": "backward", "probes": )" +
                    std::to_string(probes) + R"(, "segment_len": )" + std::to_string(segmentLen));
  };
  const std::string rows = blocks("block_rows", R"("block_m": 32, "split": 256)");
  const std::string positions = blocks("position_gradient", wide);
  const std::string ofBlocks = "{" + rows + ", " + blocks("block_gradient", tile) + ", " +
                               blocks("block_gradient_5", tile) + "}";
  const std::string both = "{" + rows + ", " + positions + "}";
  all.push_back({name,
                 specOf(256, 3, 5),
                 both,
                 "position_gradient position_gradient_unaligned",
                 {69, 109, 286}});
  all.push_back(
      {name, specOf(256, 3, 5), both, "block_rows block_rows_unaligned", {69, 109, 286, 1275}});
  all.push_back({name, specOf(256, 3, 2), ofBlocks, "block_gradient", {411, 383, 130, 256, 250}});
  all.push_back({name, specOf(1023, 2, 1), ofBlocks, "block_gradient_5", {1023, 700, 430, 256}});
  all.push_back({name + "_tiles",
                 specOf(256, 3, 71),
                 "{" + positions + "}",
                 "position_gradient position_gradient_unaligned",
                 {411, 327, 135}});
  all.push_back({name + "_tiles",
                 specOf(256, 13, 71),
                 "{" + positions + "}",
                 "probe_gradient probe_gradient_unaligned",
                 {411, 327, 135, 298},
                 {1, 2, 3, 3}});
}

void addScan(std::vector<Program> &all) {
  const std::string learned = R"(, "landmark_source": "learned", "inverse_iterations": 2)";
  const std::string first =
      R"(, "landmark_source": "first_k", "first_k": 68, "inverse_iterations": 2)";
  const std::string sums = "scan_sums scan_sums_unaligned scan_states";
  const std::string outputs = "scan_output scan_output_unaligned";
  const std::string parts = "{" + blocks("scan_sums", wide) +
                            R"(, "scan_states": {"num_stages": STAGES, "num_warps": 2}, )" +
                            blocks("scan_output", std::string(wide) + R"(, "split": 256)") + "}";
  all.push_back({"scan",
                 spec("scan", 40, learned),
                 "{" + blocks("scan_inverse", square) + "}",
                 "scan_inverse scan_inverse_unaligned",
                 {64}});
  all.push_back({"scan", spec("scan", 34, learned), parts, outputs, scanLengths});
  all.push_back({"scan", spec("scan", 34, learned), parts, sums, partsLengths});
  all.push_back(
      {"scan_at_once", spec("scan", 34, learned), atOnce("scan_output"), outputs, scanLengths});
  all.push_back({"scan_first_k", spec("scan", 34, first), parts,
                 outputs + " scan_inverse landmark_means landmark_means_unaligned", scanLengths});
  all.push_back({"scan_first_k", spec("scan", 34, first), parts, sums, partsLengths});
  all.push_back({"scan_first_k",
                 spec("scan", 34, first),
                 "{" + blocks("first_output", queries, 4) + "}",
                 "first_output first_output_unaligned",
                 {82, 66, 68, 62, 33, 1}});
}

/// Gradients: blocks so small that loops turn several times, parts of 256 rows or positions.
void addBackward(std::vector<Program> &all, const std::string &layout,
                 const std::string &specOfLayout, const std::string &kernels) {
  std::string config = "{";
  const bool isSegmented = layout != "exact_causal";
  if (isSegmented)
    for (const char *kernel : {"far_gradient", "past_gradient"})
      config += blocks(kernel, std::string(wide) + R"(, "split": 256)") + ", ";
  if (isSegmented)
    for (const char *kernel : {"solve_gradient", "weight_rows", "weight_columns"})
      config += blocks(kernel, kernel[0] == 's' ? square : wide) + ", ";
  config += blocks("position_gradient", wide) + "}";
  std::istringstream each(kernels);
  std::string both;
  for (std::string kernel; each >> kernel;)
    both += kernel + " " + kernel + "_unaligned ";
  const std::string name = layout + "_backward";
  const std::string program =
      specOfLayout.substr(0, specOfLayout.rfind('}')) + R"(, "pass": "backward"})";
  for (const std::string delta : {"output_delta", "output_delta_16"})
    all.push_back({name,
                   program,
                   "{" + blocks(delta, square) + "}",
                   delta + " " + delta + "_unaligned",
                   {69, 109, 86, 60, 1}});
  if (isSegmented)
    all.push_back({name, program, config, both, {69, 109, 286}});
  else
    all.push_back({name, program, config, both, {69, 109, 74, 86, 1}, {1, 2}});
  all.push_back({name, program, config,
                 "clear_query_gradients clear_query_gradients_unaligned clear_key_gradients "
                 "clear_key_gradients_unaligned",
                 clearedLengths()});
  if (isSegmented)
    all.push_back({name,
                   program,
                   config,
                   "far_gradient_sum solve_gradient weight_rows weight_columns past_gradient_sum",
                   {780, 305, 225, 260, 210, 290, 165, 245, 480, 500, 540, 580}});
}

std::vector<Program> programs() {
  const std::string outputs = "causal_output causal_output_unaligned";
  const std::string streaming = R"(, "landmark_value": "streaming")";
  std::vector<Program> all;
  addSolve(all, "causal");
  all.push_back({"causal", spec("causal", 84, R"(, "window": 12)"),
                 "{" + blocks("causal_output", queries, 4) + "}", outputs, outputLengths});
  all.push_back({"causal_streaming", spec("causal", 3, streaming), summary,
                 "segment_summary segment_summary_unaligned", summaryLengths});
  all.push_back({"causal_streaming", spec("causal", 84, R"(, "window": 12)" + streaming),
                 "{" + blocks("causal_output", queries, 4) + "}", outputs, outputLengths});
  addSolve(all, "segment_causal");
  all.push_back({"segment_causal", spec("segment_causal", 84),
                 "{" + blocks("segment_output", queries, 4) + "}",
                 "segment_output segment_output_unaligned", outputLengths});
  addInverse(all, "bidirectional");
  addInverse(all, "prefix_lm", " landmark_target landmark_target_unaligned");
  const std::string ownTarget = "{" + blocks("landmark_target", wide) + "}";
  const std::string ownOutput = "{" + blocks("target_output", queries, 4) + "}";
  all.push_back({"prefix_lm", spec("prefix_lm", 100), ownTarget, "landmark_target", targetLengths});
  all.push_back({"prefix_lm", spec("prefix_lm", 140), "{" + blocks("landmark_solve", square) + "}",
                 "landmark_solve", solveLengths});
  all.push_back({"prefix_lm", spec("prefix_lm", 84), ownOutput,
                 "target_output target_output_unaligned", outputLengths});
  all.push_back({"prefix_lm_streaming", spec("prefix_lm", 84, streaming), ownOutput,
                 "target_output target_output_unaligned", outputLengths});
  all.push_back({"prefix_lm_streaming", spec("prefix_lm", 3, streaming), summary,
                 "segment_summary segment_summary_unaligned", summaryLengths});
  addProbes(all);
  addProbesBackward(all);
  addScan(all);
  const std::string segmented = "far_gradient segment_gradient past_gradient position_gradient";
  addBackward(all, "exact_causal",
              R"({"layout": "exact_causal", "dtype": "DTYPE", "head_dim": 32})",
              "position_gradient");
  addBackward(all, "causal", spec("causal", 160, R"(, "window": 1, "segment_len": 5)"), segmented);
  addBackward(all, "segment_causal", spec("segment_causal", 160), segmented);
  return all;
}

std::string replaced(std::string text, const Variant &variant) {
  for (const auto &[word, value] : {std::pair<std::string, std::string>("DTYPE", variant.dtype),
                                    {"STAGES", std::to_string(variant.stages)}})
    for (size_t at = text.find(word); at != std::string::npos; at = text.find(word))
      text.replace(at, word.size(), value);
  return text;
}

/// What a run of all mutations has shown.
bool isExplained(const Program &program, const std::string &kernel) {
  for (const char *ofBlocks :
       {"probe_summary", "probe_values", "probe_merge", "probe_gradient", "block_gradient"})
    if (kernel.starts_with(ofBlocks))
      return true;
  const bool isSummary = kernel == "segment_summary";
  // That one has a barrier between conversions of memory of their own.
  if (program.name.ends_with("_backward"))
    return (kernel.starts_with("output_delta") && kernel != "output_delta_16_unaligned") ||
           kernel.starts_with("clear_") || kernel == "past_gradient_sum" ||
           kernel == "far_gradient_sum" ||
           (kernel == "solve_gradient" && program.name == "causal_backward");
  if (program.name.starts_with("causal_probes") ||
      (program.name == "causal_streaming" && !isSummary))
    return false;
  // These look for what is not finite in several loops, not all of which meet some everywhere.
  for (const char *several : {"causal_output", "landmark_past", "landmark_target"})
    if (kernel.starts_with(several))
      return false;
  return program.name.starts_with("exact_causal") || program.name.starts_with("causal");
}

void add(std::vector<KernelCase> &cases, const Program &program, const Variant &variant) {
  std::istringstream kernels(program.kernels);
  const std::string layout = nlohmann::json::parse(program.spec)["layout"];
  for (std::string kernel; kernels >> kernel;) {
    if (kernel.starts_with("output_delta_16") && variant.dtype == "float32")
      continue; // then an output has one type
    cases.push_back({program.name + "__" + kernel + replaced("__DTYPE_STAGES_stages", variant),
                     layout, program.name, kernel, replaced(program.spec, variant),
                     replaced(program.config, variant), program.lengths, program.queryHeads,
                     isExplained(program, kernel)});
  }
}

} // namespace

std::vector<KernelCase> kernelCases() {
  std::vector<KernelCase> cases;
  const std::string exact = R"({"layout": "exact_causal", "dtype": "DTYPE", "head_dim": )";
  const std::string kernels = "exact_causal exact_causal_unaligned";
  for (const Variant &variant :
       {Variant{"bfloat16", 2}, {"bfloat16", 3}, {"float32", 2}, {"float32", 3}})
    add(cases,
        {"exact_causal",
         exact + (variant.dtype == "bfloat16" && variant.stages == 3 ? "64}" : "32}"),
         "{" + blocks("exact_causal", queries, 4) + "}",
         kernels,
         {69, 109, 126, 86}},
        variant);
  // The same kernel in all layouts.
  for (const Variant &variant : {Variant{"bfloat16", 2}, {"float32", 3}})
    add(cases,
        {"exact_causal", exact + "32}", "{}", "clear_padding clear_padding_unaligned",
         clearedLengths()},
        variant);
  for (const Program &program : programs())
    for (const Variant &variant : {Variant{"bfloat16", 2}, {"float32", 3}})
      add(cases, program, variant);
  return cases;
}

} // namespace nysjit::conformance
