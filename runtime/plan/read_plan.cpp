// Plan from JSON: types, names and ranges here, what refers to what in check_plan.cpp. What passes
// both can be launched without further checks of the plan itself.
#include "runtime/plan/arithmetic.h"
#include "runtime/plan/plan_fields.h"
#include "runtime/spec/json_text.h"

#include <algorithm>

namespace nysjit {

namespace {

constexpr const char *knownDtypes[] = {"float32", "float16", "bfloat16", "int32"};

/// Constants (not negative) or symbols, nothing else: they are bound from tensors, not computed.
Status readDimensions(const PlanFields &fields, const char *key,
                      std::vector<Expression> &dimensions) {
  const Json *list = nullptr;
  NYSJIT_READ(list, fields.list(key, maxPlanRank));
  for (const Json &element : list->elements()) {
    Expression e;
    NYSJIT_READ(e, PlanFields::located(Expression::fromJson(element), fields.at(key)));
    if (e.op() != Operator::Symbol && !(e.isConstant() && e.constant() >= 0))
      return planError(fields.at(key), "symbols and constants of at least 0", shown(element));
    dimensions.push_back(std::move(e));
  }
  return {};
}

Status readArgument(const Json &json, const std::string &where, PlanArgument &argument) {
  Result<PlanFields> fields =
      PlanFields::open(json, where,
                       {"name", "output", "dtypes", "dtype_symbol", "alignment_symbol", "optional",
                        "presence_symbol", "packed_symbol", "shape", "strides"});
  NYSJIT_RETURN_IF_ERROR(fields);
  NYSJIT_READ(argument.name, fields->name("name"));
  NYSJIT_READ(argument.isOutput, fields->boolean("output"));
  const Json *dtypes = nullptr;
  NYSJIT_READ(dtypes, fields->list("dtypes", std::size(knownDtypes)));
  for (const Json &dtype : dtypes->elements()) {
    const bool known =
        dtype.is_string() && std::any_of(std::begin(knownDtypes), std::end(knownDtypes),
                                         [&](const char *name) { return dtype.text() == name; });
    if (!known)
      return planError(fields->at("dtypes"), "float32, float16, bfloat16 or int32", shown(dtype));
    argument.dtypes.push_back(dtype.get<std::string>());
  }
  if (argument.dtypes.empty())
    return planError(fields->at("dtypes"), "at least one dtype", "none");
  if (fields->has("dtype_symbol"))
    NYSJIT_READ(argument.dtypeSymbol, fields->name("dtype_symbol"));
  if (fields->has("alignment_symbol"))
    NYSJIT_READ(argument.alignmentSymbol, fields->name("alignment_symbol"));
  if (fields->has("optional"))
    NYSJIT_READ(argument.isOptional, fields->boolean("optional"));
  if (fields->has("presence_symbol"))
    NYSJIT_READ(argument.presenceSymbol, fields->name("presence_symbol"));
  if (fields->has("packed_symbol"))
    NYSJIT_READ(argument.packedSymbol, fields->name("packed_symbol"));
  NYSJIT_RETURN_IF_ERROR(readDimensions(*fields, "shape", argument.shape));
  NYSJIT_RETURN_IF_ERROR(readDimensions(*fields, "strides", argument.strides));
  if (argument.shape.size() != argument.strides.size())
    return planError(fields->at("strides"),
                     std::to_string(argument.shape.size()) + " strides, one a dimension",
                     std::to_string(argument.strides.size()));
  if (!argument.packedSymbol.empty() && argument.shape.size() != 4)
    return planError(fields->at("packed_symbol"), "none for an argument that has not 4 dimensions",
                     "'" + argument.packedSymbol + "'");
  return {};
}

Status readSequences(const Json &json, PlanSequences &sequences) {
  Result<PlanFields> fields = PlanFields::open(
      json, "sequences", {"offsets", "lengths", "starts", "parts", "rows", "max_length"});
  NYSJIT_RETURN_IF_ERROR(fields);
  for (const auto &[key, value] : {std::pair("offsets", &sequences.offsets),
                                   {"lengths", &sequences.lengths},
                                   {"starts", &sequences.starts},
                                   {"parts", &sequences.sourceLengths}})
    if (fields->has(key))
      NYSJIT_READ(*value, fields->name(key));
  NYSJIT_READ(sequences.rows, fields->name("rows"));
  NYSJIT_READ(sequences.maxLength, fields->name("max_length"));
  return {};
}

Status readPrecondition(const Json &json, const std::string &where, PlanPrecondition &condition) {
  Result<PlanFields> fields =
      PlanFields::open(json, where, {"holds", "where", "expected", "found"});
  NYSJIT_RETURN_IF_ERROR(fields);
  NYSJIT_READ(condition.holds, fields->expression("holds"));
  NYSJIT_READ(condition.where, fields->string("where"));
  NYSJIT_READ(condition.expected, fields->string("expected"));
  NYSJIT_READ(condition.found, fields->string("found"));
  return {};
}

Status readBuffer(const Json &json, const std::string &where, PlanBuffer &buffer) {
  Result<PlanFields> fields = PlanFields::open(json, where, {"name", "bytes", "saved"});
  NYSJIT_RETURN_IF_ERROR(fields);
  NYSJIT_READ(buffer.name, fields->name("name"));
  NYSJIT_READ(buffer.bytes, fields->expression("bytes"));
  if (fields->has("saved"))
    NYSJIT_READ(buffer.isSaved, fields->boolean("saved"));
  return {};
}

Status readSaved(const Json &json, PlanSaved &saved) {
  Result<PlanFields> fields = PlanFields::open(json, "saved", {"symbol", "needed"});
  NYSJIT_RETURN_IF_ERROR(fields);
  NYSJIT_READ(saved.symbol, fields->name("symbol"));
  NYSJIT_READ(saved.isNeeded, fields->boolean("needed"));
  return {};
}

Status readParameter(const Json &json, const std::string &where, PlanParameter &parameter) {
  Result<PlanFields> fields = PlanFields::open(json, where, {"name", "type", "memory", "value"});
  NYSJIT_RETURN_IF_ERROR(fields);
  NYSJIT_READ(parameter.name, fields->string("name"));
  std::string type;
  NYSJIT_READ(type, fields->string("type"));
  if (type == "pointer") {
    parameter.type = ParameterType::Pointer;
    NYSJIT_READ(parameter.memory, fields->name("memory"));
  } else if (type == "i32" || type == "i64") {
    parameter.type = type == "i32" ? ParameterType::I32 : ParameterType::I64;
    NYSJIT_READ(parameter.value, fields->expression("value"));
  } else if (type == "f32") {
    parameter.type = ParameterType::F32;
  } else {
    return planError(fields->at("type"), "pointer, i32, i64 or f32", "'" + type + "'");
  }
  return {};
}

template <typename T, typename Read>
Status readList(const PlanFields &fields, const char *key, size_t atMost, std::vector<T> &out,
                Read read) {
  const Json *list = nullptr;
  NYSJIT_READ(list, fields.list(key, atMost));
  for (size_t i = 0; i < list->size(); ++i) {
    out.emplace_back();
    NYSJIT_RETURN_IF_ERROR(
        read((*list)[i], fields.at(key) + "[" + std::to_string(i) + "]", out.back()));
  }
  return {};
}

Status readKernel(const Json &json, const std::string &where, PlanKernel &kernel) {
  Result<PlanFields> fields = PlanFields::open(
      json, where,
      {"name", "scratch_bytes", "block", "shared_bytes", "may_overlap", "config", "parameters"});
  NYSJIT_RETURN_IF_ERROR(fields);
  NYSJIT_READ(kernel.name, fields->name("name"));
  NYSJIT_READ(kernel.scratchBytes, fields->number("scratch_bytes", 0, maxScratchBytes));
  if (fields->has("block"))
    NYSJIT_READ(kernel.blockThreads, fields->number("block", 1, maxBlockThreads));
  if (fields->has("shared_bytes"))
    NYSJIT_READ(kernel.sharedBytes, fields->number("shared_bytes", 0, maxSharedBytes));
  if (fields->has("may_overlap"))
    NYSJIT_READ(kernel.mayOverlap, fields->boolean("may_overlap"));
  NYSJIT_READ(kernel.config, fields->blockSizes("config"));
  return readList(*fields, "parameters", maxPlanParameters, kernel.parameters, readParameter);
}

Status readLaunch(const Json &json, const std::string &where, PlanLaunch &launch) {
  Result<PlanFields> fields = PlanFields::open(json, where, {"kernel", "grid", "when"});
  NYSJIT_RETURN_IF_ERROR(fields);
  NYSJIT_READ(launch.kernel, fields->name("kernel"));
  NYSJIT_READ(launch.grid, fields->expression("grid"));
  if (fields->has("when"))
    NYSJIT_READ(launch.when, fields->expression("when"));
  return {};
}

Result<Plan> parsePlan(const Json &json) {
  Result<PlanFields> fields =
      PlanFields::open(json, "",
                       {"schema", "program", "target", "spec", "arguments", "sequences",
                        "preconditions", "buffers", "saved", "kernels", "launches"});
  if (!fields)
    return fields.takeError();
  if (!json.contains("schema") || json["schema"] != 1)
    return planError("schema", "1", json.contains("schema") ? shown(json["schema"]) : "nothing");
  Plan plan;
  NYSJIT_READ(plan.layout, fields->string("program"));
  NYSJIT_READ(plan.target, fields->string("target"));
  NYSJIT_READ(plan.specJson, fields->objectText("spec"));
  NYSJIT_RETURN_IF_ERROR(
      readList(*fields, "arguments", maxPlanArguments, plan.arguments, readArgument));
  if (fields->has("sequences"))
    NYSJIT_RETURN_IF_ERROR(readSequences(json["sequences"], plan.sequences));
  NYSJIT_RETURN_IF_ERROR(
      readList(*fields, "preconditions", maxPlanEntries, plan.preconditions, readPrecondition));
  NYSJIT_RETURN_IF_ERROR(readList(*fields, "buffers", maxPlanEntries, plan.buffers, readBuffer));
  if (fields->has("saved"))
    NYSJIT_RETURN_IF_ERROR(readSaved(json["saved"], plan.saved));
  NYSJIT_RETURN_IF_ERROR(readList(*fields, "kernels", maxPlanEntries, plan.kernels, readKernel));
  NYSJIT_RETURN_IF_ERROR(readList(*fields, "launches", maxPlanEntries, plan.launches, readLaunch));
  NYSJIT_RETURN_IF_ERROR(checkPlanReferences(plan));
  return plan;
}

} // namespace

Result<Plan> planFromJson(const std::string &text) {
  constexpr int deepest = maxExpressionDepth + 8; // an expression lies a few levels down
  Result<Json> json = parseJsonObject(text, deepest);
  if (!json)
    return Error::mismatch(ErrorKind::InvalidJson, "plan", "a JSON object", text.substr(0, 40));
  return parsePlan(*json);
}

} // namespace nysjit
