// The shapes of TUNE.json: sizes that every spec of the file can run.
#include "runtime/tune/tune_shapes.h"
#include "runtime/spec/json_text.h"
#include "runtime/spec/lengths.h"
#include "runtime/tune/keys.h"

#include <algorithm>
#include <numeric>

namespace nysjit::tune {

namespace {

constexpr const char *shapeKeys[] = {"length",     "batch",     "heads", "kv_heads",
                                     "source_len", "sequences", "weight"};
constexpr int64_t mostPositions = int64_t(1) << 30;
constexpr int64_t mostHeads = 65536;
constexpr int64_t mostRows = int64_t(1) << 36; // of all sequences and heads

/// Lengths of packed sequences; the rows are theirs together.
Status readSequences(const Keys &keys, TuneShape &shape) {
  Result<const Json *> list = keys.array("sequences", 1, 4096);
  NYSJIT_RETURN_IF_ERROR(list);
  if (!*list)
    return {};
  if (keys.find("batch"))
    return keyError(keys.pathOf("batch"), "no such key beside sequences",
                    describeJson(*keys.find("batch")));
  for (size_t i = 0; i < (*list)->size(); ++i) {
    const Json &value = (**list)[i];
    if (!value.is_number_integer() || value.get<double>() < 1 ||
        value.get<double>() > double(mostPositions))
      return keyError(element(keys.pathOf("sequences"), i),
                      "an integer, 1 to " + std::to_string(mostPositions), describeJson(value));
    shape.sequences.push_back(value.get<int64_t>());
  }
  const int64_t total = std::accumulate(shape.sequences.begin(), shape.sequences.end(), int64_t(0));
  if (total > mostPositions)
    return keyError(keys.pathOf("sequences"),
                    "at most " + std::to_string(mostPositions) + " positions together",
                    std::to_string(total));
  if (keys.find("length") && shape.length != total)
    return keyError(keys.pathOf("length"),
                    std::to_string(total) + ", the sum of sequences, or no such key",
                    std::to_string(shape.length));
  shape.length = total;
  return {};
}

Result<TuneShape> readShape(const Json &object, const std::string &path) {
  const Keys keys(object, path);
  NYSJIT_RETURN_IF_ERROR(keys.check(shapeKeys));
  TuneShape shape;
  NYSJIT_RETURN_IF_ERROR(keys.integer("length", 1, mostPositions, shape.length));
  NYSJIT_RETURN_IF_ERROR(keys.integer("batch", 1, mostHeads, shape.batch));
  NYSJIT_RETURN_IF_ERROR(keys.integer("heads", 1, mostHeads, shape.heads));
  shape.kvHeads = shape.heads;
  NYSJIT_RETURN_IF_ERROR(keys.integer("kv_heads", 1, mostHeads, shape.kvHeads));
  if (shape.heads % shape.kvHeads != 0)
    return keyError(keys.pathOf("kv_heads"),
                    "a divisor of the " + std::to_string(shape.heads) + " heads",
                    std::to_string(shape.kvHeads));
  NYSJIT_RETURN_IF_ERROR(keys.number("weight", 1e-6, 1e6, shape.weight));
  NYSJIT_RETURN_IF_ERROR(readSequences(keys, shape));
  if (shape.length == 0)
    return keyError(keys.pathOf("length"), "an integer, 1 to " + std::to_string(mostPositions),
                    "no such key");
  if (const int64_t rows = shape.length * shape.batch; rows > mostRows / shape.heads)
    return keyError(path, "length * batch * heads of at most " + std::to_string(mostRows),
                    std::to_string(rows) + " * " + std::to_string(shape.heads));
  NYSJIT_RETURN_IF_ERROR(keys.integer("source_len", 0, shape.length, shape.sourceLen));
  return shape;
}

/// What a spec asks of a shape: sources where it has them, and segments for all of its positions.
Status checkFits(const KernelSpec &spec, const TuneShape &shape, const Keys &keys) {
  const bool hasSource = spec.layout == Layout::PrefixLm;
  if (hasSource && !keys.find("source_len"))
    return keyError(keys.pathOf("source_len"),
                    "an integer, 0 to " + std::to_string(shape.length) + ", with layout prefix_lm",
                    "no such key");
  const int64_t longest =
      shape.sequences.empty() ? shape.length : *std::ranges::max_element(shape.sequences);
  if (hasSource && !shape.sequences.empty() &&
      shape.sourceLen > *std::ranges::min_element(shape.sequences))
    return keyError(keys.pathOf("source_len"), "at most the shortest sequence",
                    std::to_string(shape.sourceLen));
  if (const std::optional<int64_t> most = maximumLength(spec); most && longest > *most)
    return keyError(keys.pathOf(shape.sequences.empty() ? "length" : "sequences"),
                    expectedLength(*most), std::to_string(longest));
  return {};
}

} // namespace

Json shapeObject(const TuneShape &shape) {
  Json object = {{"length", shape.length},
                 {"batch", shape.batch},
                 {"heads", shape.heads},
                 {"kv_heads", shape.kvHeads},
                 {"weight", shape.weight}};
  if (shape.sourceLen)
    object["source_len"] = shape.sourceLen;
  if (!shape.sequences.empty()) {
    Json list = Json::array();
    for (const int64_t length : shape.sequences)
      list.push_back(length);
    object["sequences"] = list;
  }
  return object;
}

std::string shapeText(const TuneShape &shape) {
  std::string text = "n " + std::to_string(shape.length);
  if (!shape.sequences.empty())
    text += " in " + std::to_string(shape.sequences.size()) + " sequences";
  if (shape.batch > 1)
    text += ", batch " + std::to_string(shape.batch);
  text += ", " + std::to_string(shape.heads) + (shape.heads == 1 ? " head" : " heads");
  if (shape.kvHeads != shape.heads)
    text += " (" + std::to_string(shape.kvHeads) + " of keys)";
  return text;
}

Result<std::vector<TuneShape>> readShapes(const Json &list, const std::vector<KernelSpec> &specs) {
  std::vector<TuneShape> shapes;
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string path = element("shapes", i);
    Result<TuneShape> shape = readShape(list[i], path);
    NYSJIT_RETURN_IF_ERROR(shape);
    const Keys keys(list[i], path);
    if (keys.find("source_len") &&
        std::ranges::count(specs, Layout::PrefixLm, &KernelSpec::layout) == 0)
      return keyError(keys.pathOf("source_len"), "no such key without a spec of layout prefix_lm",
                      describeJson(*keys.find("source_len")));
    for (const KernelSpec &spec : specs)
      NYSJIT_RETURN_IF_ERROR(checkFits(spec, *shape, keys));
    shapes.push_back(std::move(*shape));
  }
  return shapes;
}

} // namespace nysjit::tune
