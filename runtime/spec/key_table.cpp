// The table itself and the sentences made of it.
#include "runtime/spec/key_table.h"

#include <array>
#include <climits>
#include <cmath>
#include <vector>

namespace nysjit {

namespace {

constexpr std::array layoutNames = {
#define NYSJIT_LAYOUT(id, name, function, landmarks, inverse, reach) #name,
#include "runtime/spec/layouts.def"
};
constexpr std::array dtypeNames = {"float32", "float16", "bfloat16"};
constexpr std::array weightNames = {"tangent", "count"};
constexpr std::array valueNames = {"nystrom", "streaming"};
constexpr std::array sourceNames = {"learned", "first_k", "segment_mean"};
constexpr std::array spacingNames = {"uniform", "dyadic"};
constexpr std::array mathNames = {"tf32x3", "tf32"};
constexpr std::array passNames = {"forward", "saving", "backward"};

constexpr LayoutSet causal = layoutBit(Layout::Causal);
constexpr LayoutSet bidirectional = layoutBit(Layout::Bidirectional);
constexpr LayoutSet segmentCausal = layoutBit(Layout::SegmentCausal);
constexpr LayoutSet prefixLm = layoutBit(Layout::PrefixLm);
constexpr LayoutSet scan = layoutBit(Layout::Scan);
constexpr LayoutSet all = allLayouts;
constexpr LayoutSet withLandmarks = layoutsWithLandmarks;
constexpr LayoutSet withInverse = layoutsWithInverse;
constexpr std::array sourceLayouts = {scan | causal, scan, causal};

// Access to one member of KernelSpec, by its type: int, double, enum, or an optional int.
template <auto member> void setMember(KernelSpec &spec, const Json &value) {
  using T = std::remove_reference_t<decltype(spec.*member)>;
  if constexpr (std::is_enum_v<T>)
    spec.*member = T(value.get<int>());
  else if constexpr (std::is_same_v<T, double>)
    spec.*member = value.get<double>() + 0.0; // -0 and 0 are one value
  else
    spec.*member = value.get<int>();
}
template <typename T> Json jsonOf(const T &value) {
  if constexpr (std::is_enum_v<T>)
    return int(value);
  else
    return value;
}
template <typename T> Json jsonOf(const std::optional<T> &value) {
  return value ? jsonOf(*value) : Json();
}
template <auto member> Json getMember(const KernelSpec &spec) { return jsonOf(spec.*member); }
template <auto member> constexpr KeyRow with(KeyRow row) {
  row.set = setMember<member>;
  row.get = getMember<member>;
  return row;
}

constexpr auto Integer = ValueType::Integer;
constexpr auto Number = ValueType::Number;
constexpr auto Choice = ValueType::Choice;
using S = KernelSpec;

constexpr KeyRow rows[] = {
    with<&S::layout>({.name = "layout",
                      .type = Choice,
                      .layouts = all,
                      .isNeeded = true,
                      .choices = layoutNames,
                      .meaning = "What each position sees, and where the landmarks come from."}),
    with<&S::headDim>({.name = "head_dim",
                       .type = Integer,
                       .layouts = all,
                       .isNeeded = true,
                       .minimum = 16,
                       .maximum = 256,
                       .multipleOf = 8,
                       .meaning = "d, the size of a query, a key or a value."}),
    with<&S::landmarkSource>(
        {.name = "landmark_source",
         .type = Choice,
         .layouts = scan | causal,
         .isNeeded = true,
         .optionalIn = causal,
         .choices = sourceNames,
         .choiceLayouts = sourceLayouts,
         .meaning = "Where landmarks come from: each segment's means; queries that are a tensor of "
                    "the run (in `scan` with keys, in `causal` the probes); segment means of the "
                    "first positions."}),
    with<&S::probes>({.name = "probes",
                      .type = Integer,
                      .layouts = causal,
                      .condition = Condition::Probes,
                      .isNeeded = true,
                      .minimum = 1,
                      .maximum = 16,
                      .meaning = "r, the learned queries of a head through which a block of "
                                 "segments is seen."}),
    with<&S::landmarkSpacing>(
        {.name = "landmark_spacing",
         .type = Choice,
         .layouts = causal,
         .condition = Condition::Probes,
         .choices = spacingNames,
         .meaning = "The blocks that are seen from afar: each segment, or blocks that double with "
                    "distance."}),
    with<&S::levelWidth>({.name = "level_width",
                          .type = Integer,
                          .layouts = causal,
                          .condition = Condition::Dyadic,
                          .minimum = 1,
                          .maximum = 16,
                          .meaning = "b: of each size of blocks a position sees b or b + 1."}),
    with<&S::landmarks>(
        {.name = "landmarks",
         .type = Integer,
         .layouts = withLandmarks,
         .isNeeded = true,
         .minimum = 1,
         .maximum = 1024,
         .maximumWithInverse = 512,
         .maximumIfDyadic = 65536,
         .meaning =
             "The most segments a sequence may have, each seen from afar through one landmark; "
             "in `scan` the number of landmarks."}),
    with<&S::segmentLen>({.name = "segment_len",
                          .type = Integer,
                          .layouts = causal | segmentCausal | bidirectional | prefixLm,
                          .neededIf = Condition::Dyadic,
                          .minimum = 1,
                          .maximum = 65536,
                          .meaning = "s, the positions of a segment; a sequence has at most "
                                     "`landmarks` · `segment_len` of them.",
                          .absent = "⌈n / `landmarks`⌉ of each sequence"}),
    with<&S::window>(
        {.name = "window",
         .type = Integer,
         .layouts = causal,
         .minimum = 0,
         .maximum = 65536,
         .relation = Relation::AtMostLandmarks,
         .meaning = "Earlier segments that are seen position by position, as the own one is."}),
    with<&S::landmarkWeight>({.name = "landmark_weight",
                              .type = Choice,
                              .layouts = causal | prefixLm,
                              .condition = Condition::SegmentMeans,
                              .choices = weightNames,
                              .meaning =
                                  "A landmark's logit: the tangent of the logarithm of its "
                                  "segment's mass at the segment's mean "
                                  "query, or at 0 (the mean key and the logarithm of the count)."}),
    with<&S::landmarkValue>(
        {.name = "landmark_value",
         .type = Choice,
         .layouts = causal | prefixLm,
         .condition = Condition::SegmentMeans,
         .choices = valueNames,
         .meaning = "What a landmark stands for: a row of the Nyström system's solution, or the "
                    "softmax value of its own segment."}),
    with<&S::stabilizer>(
        {.name = "stabilizer",
         .type = Number,
         .layouts = segmentCausal | causal | prefixLm,
         .condition = Condition::NotStreaming,
         .minimum = 0,
         .maximum = 1e6,
         .meaning =
             "λ, which draws each row of the solve towards its segment's own value; 0 is the "
             "plain solve, which may overflow."}),
    with<&S::inverseIterations>(
        {.name = "inverse_iterations",
         .type = Integer,
         .layouts = withInverse,
         .minimum = 0,
         .maximum = 32,
         .meaning =
             "Newton–Schulz steps towards the inverse of the softmax matrix among the landmarks."}),
    with<&S::firstK>(
        {.name = "first_k",
         .type = Integer,
         .layouts = scan,
         .condition = Condition::FromFirstK,
         .isNeeded = true,
         .minimum = 1,
         .maximum = INT_MAX,
         .relation = Relation::MultipleOfLandmarks,
         .meaning =
             "The first positions, whose segment means are the landmarks; among themselves they "
             "have exact causal attention."}),
    with<&S::convKernel>(
        {.name = "conv_kernel",
         .type = Integer,
         .layouts = withLandmarks,
         .minimum = 0,
         .maximum = 129,
         .meaning =
             "c, the taps of a convolution of the values that is added to the output, centred "
             "in `bidirectional` and looking back elsewhere; 0: none."}),
    with<&S::dtype>(
        {.name = "dtype",
         .type = Choice,
         .layouts = all,
         .choices = dtypeNames,
         .meaning = "The type of q, k, v, landmarks and taps; sums are float32 or better."}),
    with<&S::float32Math>({.name = "float32_math",
                           .type = Choice,
                           .layouts = all,
                           .condition = Condition::Float32,
                           .choices = mathNames,
                           .meaning = "The least precise products allowed: three tf32 ones of "
                                      "split numbers, or one; the CPU's are float32."}),
    with<&S::pass>({.name = "pass",
                    .type = Choice,
                    .layouts = all,
                    .choices = passNames,
                    .meaning = "The output alone; the output, the same bit for bit, and what its "
                               "gradients are computed from, in `saved`; the gradients."}),
};

bool isLearned(const KernelSpec &spec) { return spec.landmarkSource == LandmarkSource::Learned; }

bool holds(Condition condition, const KernelSpec &spec) {
  switch (condition) {
  case Condition::None: return true;
  case Condition::NotStreaming:
    return spec.landmarkValue != LandmarkValue::Streaming && !isLearned(spec);
  case Condition::SegmentMeans: return !isLearned(spec);
  case Condition::FromFirstK: return spec.landmarkSource == LandmarkSource::FirstK;
  case Condition::Probes: return isLearned(spec);
  case Condition::Dyadic: return spec.landmarkSpacing == LandmarkSpacing::Dyadic;
  case Condition::Float32: return spec.dtype == DType::Float32;
  }
  return false;
}

/// "a", "b" or "c".
std::string alternatives(const std::vector<const char *> &names) {
  std::string text;
  for (size_t i = 0; i < names.size(); ++i) {
    text += i == 0 ? "" : i + 1 == names.size() ? " or " : ", ";
    text += '"' + std::string(names[i]) + '"';
  }
  return text;
}

} // namespace

std::span<const KeyRow> keyTable() { return rows; }

bool iteratesInverse(Layout layout) { return layoutRow(layout).iteratesInverse; }

bool usesKey(const KeyRow &row, const KernelSpec &spec) {
  return (row.layouts & layoutBit(spec.layout)) != 0 && holds(row.condition, spec);
}

const char *conditionText(Condition condition) {
  switch (condition) {
  case Condition::None: break;
  case Condition::NotStreaming:
    return "unless landmark_value is streaming or landmark_source is learned";
  case Condition::SegmentMeans: return "unless landmark_source is learned";
  case Condition::FromFirstK: return "if landmark_source is first_k";
  case Condition::Probes: return "if landmark_source is learned";
  case Condition::Dyadic: return "if landmark_spacing is dyadic";
  case Condition::Float32: return "if dtype is float32";
  }
  return "";
}

std::string reasonUnused(const KeyRow &row, const KernelSpec &spec) {
  if ((row.layouts & layoutBit(spec.layout)) == 0)
    return std::string("layout ") + layoutName(spec.layout);
  const std::string source =
      std::string("landmark_source ") + landmarkSourceName(spec.landmarkSource);
  switch (row.condition) {
  case Condition::NotStreaming: return isLearned(spec) ? source : "landmark_value streaming";
  case Condition::SegmentMeans:
  case Condition::FromFirstK:
  case Condition::Probes: return source;
  case Condition::Dyadic: return isLearned(spec) ? std::string("landmark_spacing uniform") : source;
  case Condition::Float32: return std::string("dtype ") + dtypeName(spec.dtype);
  case Condition::None: break;
  }
  return "";
}

bool isNeeded(const KeyRow &row, const KernelSpec &spec) {
  if (row.neededIf != Condition::None)
    return holds(row.neededIf, spec);
  return row.isNeeded && (row.optionalIn & layoutBit(spec.layout)) == 0;
}

bool hasChoice(const KeyRow &row, size_t index, Layout layout) {
  return row.choiceLayouts.empty() || (row.choiceLayouts[index] & layoutBit(layout)) != 0;
}

double maximumOf(const KeyRow &row, const KernelSpec &spec) {
  if (row.relation == Relation::AtMostLandmarks)
    return spec.landmarks;
  if (row.maximumWithInverse != 0 && iteratesInverse(spec.layout))
    return row.maximumWithInverse;
  return row.maximumIfDyadic != 0 && holds(Condition::Dyadic, spec) ? row.maximumIfDyadic
                                                                    : row.maximum;
}

std::string expectedValue(const KeyRow &row, const KernelSpec &spec) {
  if (row.type == ValueType::Choice) {
    std::vector<const char *> names;
    for (size_t i = 0; i < row.choices.size(); ++i)
      if (hasChoice(row, i, spec.layout))
        names.push_back(row.choices[i]);
    return alternatives(names);
  }
  std::string range = std::to_string(std::lround(row.minimum)) + " to " +
                      std::to_string(std::lround(maximumOf(row, spec)));
  if (row.relation == Relation::AtMostLandmarks)
    range = std::to_string(std::lround(row.minimum)) + " to landmarks (" +
            std::to_string(spec.landmarks) + ")";
  std::string text = (row.type == ValueType::Integer ? "an integer, " : "a number, ") + range;
  if (row.multipleOf != 1)
    text += ", multiple of " + std::to_string(row.multipleOf);
  if (row.relation == Relation::MultipleOfLandmarks)
    text += ", multiple of landmarks (" + std::to_string(spec.landmarks) + ")";
  return text;
}

const char *layoutName(Layout layout) { return layoutRow(layout).name; }
const char *dtypeName(DType dtype) { return dtypeNames[size_t(dtype)]; }
const char *landmarkSourceName(LandmarkSource source) { return sourceNames[size_t(source)]; }
const char *passName(Pass pass) { return passNames[size_t(pass)]; }

std::string specTitle(const KernelSpec &spec) {
  std::string title = std::string(layoutName(spec.layout)) + " " + dtypeName(spec.dtype);
  if (spec.pass != Pass::Forward)
    title += std::string(" ") + passName(spec.pass);
  return title;
}

} // namespace nysjit
