// Plan from JSON, checking everything that the launch relies on: names are unique and known,
// symbols are bound, kernels exist, numbers are in range. What passes here can be launched without
// further checks of the plan itself.
#include "runtime/plan/arithmetic.h"
#include "runtime/plan/plan.h"

#include <algorithm>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <set>

namespace nysjit {

namespace {

using Json = nlohmann::json;

Error planError(const std::string &where, const std::string &expected, const std::string &found) {
  return Error::mismatch(ErrorKind::InvalidJson, "plan." + where, expected, found);
}

std::string shown(const Json &json) {
  std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  return text.size() > 80 ? text.substr(0, 80) + "..." : text;
}

/// One object of the plan, its place for messages, and the keys it may have.
class Fields {
public:
  static Result<Fields> open(const Json &json, std::string where,
                             std::initializer_list<const char *> allowed) {
    if (!json.is_object())
      return planError(where, "an object", shown(json));
    for (const auto &[key, value] : json.items())
      if (std::none_of(allowed.begin(), allowed.end(),
                       [&key = key](const char *name) { return key == name; }))
        return planError(where, "no key '" + key + "'", shown(value));
    return Fields(json, std::move(where));
  }

  std::string at(const char *key) const { return place.empty() ? key : place + "." + key; }
  bool has(const char *key) const { return object->contains(key); }

  Result<std::string> string(const char *key) const {
    const auto found = object->find(key);
    if (found == object->end() || !found->is_string())
      return planError(at(key), "a string", found == object->end() ? "nothing" : shown(*found));
    return found->get<std::string>();
  }
  Result<std::string> name(const char *key) const {
    Result<std::string> text = string(key);
    if (text && !isSymbolName(*text))
      return planError(at(key), "a name of letters, digits and _, at most 64", "'" + *text + "'");
    return text;
  }
  Result<bool> boolean(const char *key) const {
    const auto found = object->find(key);
    if (found == object->end() || !found->is_boolean())
      return planError(at(key), "true or false",
                       found == object->end() ? "nothing" : shown(*found));
    return found->get<bool>();
  }
  Result<Expression> expression(const char *key) const {
    const auto found = object->find(key);
    if (found == object->end())
      return planError(at(key), "an expression", "nothing");
    return located(Expression::fromJson(*found), at(key));
  }
  Result<const Json *> list(const char *key, size_t atMost) const {
    const auto found = object->find(key);
    if (found == object->end() || !found->is_array() || found->size() > atMost)
      return planError(at(key), "an array of at most " + std::to_string(atMost),
                       found == object->end() ? "nothing"
                       : found->is_array()    ? std::to_string(found->size())
                                              : shown(*found));
    return &*found;
  }
  Result<int64_t> number(const char *key, int64_t least, int64_t most) const {
    Result<Expression> e = expression(key);
    if (!e)
      return e.takeError();
    if (!e->isConstant() || e->constant() < least || e->constant() > most)
      return planError(at(key),
                       "a number from " + std::to_string(least) + " to " + std::to_string(most),
                       shown(object->at(key)));
    return e->constant();
  }
  Result<std::string> objectText(const char *key) const {
    const auto found = object->find(key);
    if (found == object->end() || !found->is_object())
      return planError(at(key), "an object", found == object->end() ? "nothing" : shown(*found));
    return found->dump(-1, ' ', false, Json::error_handler_t::replace);
  }

  Result<BlockConfig> blockSizes(const char *key) const {
    const auto found = object->find(key);
    Result<BlockConfig> block = parseBlockConfig(at(key), found == object->end() ? Json() : *found);
    if (block)
      return block;
    const Error error = block.takeError();
    return planError(error.where, error.expected, error.found);
  }

  static Result<Expression> located(Result<Expression> parsed, const std::string &place) {
    if (parsed)
      return parsed;
    Error error = parsed.takeError();
    return planError(place, error.expected, error.found);
  }

private:
  Fields(const Json &json, std::string where) : object(&json), place(std::move(where)) {}
  const Json *object;
  std::string place;
};

/// `variable = expression.value()`, or returns the error.
#define NYSJIT_READ(variable, expression)                                                          \
  do {                                                                                             \
    auto nysjitRead = (expression);                                                                \
    if (!nysjitRead)                                                                               \
      return nysjitRead.takeError();                                                               \
    variable = std::move(*nysjitRead);                                                             \
  } while (false)

constexpr const char *knownDtypes[] = {"float32", "float16", "bfloat16", "int32"};

/// Constants (not negative) or symbols, nothing else: they are bound from tensors, not computed.
Status readDimensions(const Fields &fields, const char *key, std::vector<Expression> &dimensions) {
  const Json *list = nullptr;
  NYSJIT_READ(list, fields.list(key, maxPlanRank));
  for (const Json &element : *list) {
    Expression e;
    NYSJIT_READ(e, Fields::located(Expression::fromJson(element), fields.at(key)));
    if (e.op() != Operator::Symbol && !(e.isConstant() && e.constant() >= 0))
      return planError(fields.at(key), "symbols and constants of at least 0", shown(element));
    dimensions.push_back(std::move(e));
  }
  return {};
}

Status readArgument(const Json &json, const std::string &where, PlanArgument &argument) {
  Result<Fields> fields =
      Fields::open(json, where,
                   {"name", "output", "dtypes", "dtype_symbol", "alignment_symbol", "optional",
                    "packed_symbol", "shape", "strides"});
  NYSJIT_RETURN_IF_ERROR(fields);
  NYSJIT_READ(argument.name, fields->name("name"));
  NYSJIT_READ(argument.isOutput, fields->boolean("output"));
  const Json *dtypes = nullptr;
  NYSJIT_READ(dtypes, fields->list("dtypes", std::size(knownDtypes)));
  for (const Json &dtype : *dtypes) {
    const bool known =
        dtype.is_string() &&
        std::any_of(std::begin(knownDtypes), std::end(knownDtypes),
                    [&](const char *name) { return dtype.get_ref<const std::string &>() == name; });
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
  Result<Fields> fields = Fields::open(
      json, "sequences", {"offsets", "lengths", "starts", "parts", "rows", "max_length"});
  NYSJIT_RETURN_IF_ERROR(fields);
  for (const auto &[key, value] : {std::pair("offsets", &sequences.offsets),
                                   {"lengths", &sequences.lengths},
                                   {"starts", &sequences.starts},
                                   {"parts", &sequences.parts}})
    if (fields->has(key))
      NYSJIT_READ(*value, fields->name(key));
  NYSJIT_READ(sequences.rows, fields->name("rows"));
  NYSJIT_READ(sequences.maxLength, fields->name("max_length"));
  return {};
}

/// The arguments it names are vectors of int32, its symbols bound and new.
Status checkSequences(const Plan &plan, const std::set<std::string> &dimensions) {
  const PlanSequences &s = plan.sequences;
  if (s.rows.empty())
    return {};
  for (const auto &[key, name] : {std::pair("offsets", &s.offsets),
                                  {"lengths", &s.lengths},
                                  {"starts", &s.starts},
                                  {"parts", &s.parts}}) {
    const auto isNamed = [name = name](const PlanArgument &argument) {
      return argument.name == *name && argument.dtypes == std::vector<std::string>{"int32"} &&
             argument.shape.size() == 1;
    };
    if (!name->empty() && std::none_of(plan.arguments.begin(), plan.arguments.end(), isNamed))
      return planError(std::string("sequences.") + key, "an argument that is a vector of int32",
                       "'" + *name + "'");
  }
  if (!dimensions.count(s.rows))
    return planError("sequences.rows", "a symbol of an argument's shape", "'" + s.rows + "'");
  if (dimensions.count(s.maxLength))
    return planError("sequences.max_length", "a symbol of its own", "'" + s.maxLength + "'");
  return {};
}

Status readPrecondition(const Json &json, const std::string &where, PlanPrecondition &condition) {
  Result<Fields> fields = Fields::open(json, where, {"holds", "where", "expected", "found"});
  NYSJIT_RETURN_IF_ERROR(fields);
  NYSJIT_READ(condition.holds, fields->expression("holds"));
  NYSJIT_READ(condition.where, fields->string("where"));
  NYSJIT_READ(condition.expected, fields->string("expected"));
  NYSJIT_READ(condition.found, fields->string("found"));
  return {};
}

Status readBuffer(const Json &json, const std::string &where, PlanBuffer &buffer) {
  Result<Fields> fields = Fields::open(json, where, {"name", "bytes"});
  NYSJIT_RETURN_IF_ERROR(fields);
  NYSJIT_READ(buffer.name, fields->name("name"));
  NYSJIT_READ(buffer.bytes, fields->expression("bytes"));
  return {};
}

Status readParameter(const Json &json, const std::string &where, PlanParameter &parameter) {
  Result<Fields> fields = Fields::open(json, where, {"name", "type", "memory", "value"});
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
Status readList(const Fields &fields, const char *key, size_t atMost, std::vector<T> &out,
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
  Result<Fields> fields = Fields::open(
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
  Result<Fields> fields = Fields::open(json, where, {"kernel", "grid", "when"});
  NYSJIT_RETURN_IF_ERROR(fields);
  NYSJIT_READ(launch.kernel, fields->name("kernel"));
  NYSJIT_READ(launch.grid, fields->expression("grid"));
  if (fields->has("when"))
    NYSJIT_READ(launch.when, fields->expression("when"));
  return {};
}

/// Names are unique, and what refers to another part refers to one that exists.
Status checkReferences(const Plan &plan) {
  const std::vector<std::string> symbols = planSymbols(plan);
  if (symbols.size() > maxPlanSymbols)
    return planError("arguments", "at most " + std::to_string(maxPlanSymbols) + " symbols",
                     std::to_string(symbols.size()));
  // Sizes and preconditions are asked for without the tensors' addresses.
  Plan withoutAddresses;
  withoutAddresses.arguments = plan.arguments;
  withoutAddresses.sequences = plan.sequences;
  for (PlanArgument &argument : withoutAddresses.arguments)
    argument.alignmentSymbol.clear();
  const std::vector<std::string> sizeSymbols = planSymbols(withoutAddresses);
  const auto resolvesAmong = [](const std::vector<std::string> &among, const Expression &e,
                                const std::string &where) -> Status {
    Result<CompiledExpression> compiled = CompiledExpression::compile(e, among);
    if (!compiled)
      return planError(where, compiled.error().expected, compiled.error().found);
    return {};
  };
  const auto resolves = [&](const Expression &e, const std::string &where) {
    return resolvesAmong(symbols, e, where);
  };
  std::set<std::string> memory;
  std::set<std::string> ownSymbols;
  std::set<std::string> kernels;
  std::set<std::string> dimensions;
  for (const PlanArgument &argument : plan.arguments) {
    if (!memory.insert(argument.name).second)
      return planError("arguments", "one argument a name", "'" + argument.name + "' twice");
    for (const std::vector<Expression> *list : {&argument.shape, &argument.strides})
      for (const Expression &e : *list)
        if (e.op() == Operator::Symbol)
          dimensions.insert(e.symbolName());
  }
  for (const PlanArgument &argument : plan.arguments)
    for (const auto &[symbol, what] : {std::pair(&argument.dtypeSymbol, "a dtype"),
                                       std::pair(&argument.alignmentSymbol, "an alignment")})
      if (!symbol->empty() && (dimensions.count(*symbol) || !ownSymbols.insert(*symbol).second))
        return planError("arguments", std::string(what) + " symbol of its own for each argument",
                         "'" + *symbol + "' again");
  for (const PlanArgument &argument : plan.arguments)
    if (!argument.packedSymbol.empty() &&
        (dimensions.count(argument.packedSymbol) || ownSymbols.count(argument.packedSymbol)))
      return planError("arguments", "a packed symbol that nothing else binds",
                       "'" + argument.packedSymbol + "' again");
  NYSJIT_RETURN_IF_ERROR(checkSequences(plan, dimensions));
  for (const PlanBuffer &buffer : plan.buffers) {
    if (!memory.insert(buffer.name).second)
      return planError("buffers", "one argument or buffer a name", "'" + buffer.name + "' twice");
    NYSJIT_RETURN_IF_ERROR(
        resolvesAmong(sizeSymbols, buffer.bytes, "buffers." + buffer.name + ".bytes"));
  }
  for (const PlanPrecondition &condition : plan.preconditions)
    NYSJIT_RETURN_IF_ERROR(
        resolvesAmong(sizeSymbols, condition.holds, "preconditions." + condition.where));
  for (const PlanKernel &kernel : plan.kernels) {
    if (!kernels.insert(kernel.name).second)
      return planError("kernels", "one kernel a name", "'" + kernel.name + "' twice");
    if (isGpuPlan(plan) != (kernel.blockThreads > 0))
      return planError("kernels." + kernel.name + ".block",
                       isGpuPlan(plan) ? "the threads of a block" : "none for " + plan.target,
                       isGpuPlan(plan) ? "nothing" : std::to_string(kernel.blockThreads));
    std::set<std::string> parameters;
    for (const PlanParameter &parameter : kernel.parameters) {
      const std::string where = "kernels." + kernel.name + "." + parameter.name;
      if (!parameters.insert(parameter.name).second)
        return planError(where, "one parameter a name", "'" + parameter.name + "' twice");
      if (parameter.type == ParameterType::Pointer && !memory.count(parameter.memory))
        return planError(where, "the name of an argument or buffer", "'" + parameter.memory + "'");
      NYSJIT_RETURN_IF_ERROR(resolves(parameter.value, where));
    }
  }
  for (const PlanLaunch &launch : plan.launches) {
    if (!kernels.count(launch.kernel))
      return planError("launches", "the name of a kernel", "'" + launch.kernel + "'");
    NYSJIT_RETURN_IF_ERROR(resolves(launch.grid, "launches." + launch.kernel + ".grid"));
    NYSJIT_RETURN_IF_ERROR(resolves(launch.when, "launches." + launch.kernel + ".when"));
  }
  return {};
}

Result<Plan> parsePlan(const Json &json) {
  Result<Fields> fields =
      Fields::open(json, "",
                   {"schema", "program", "target", "spec", "arguments", "sequences",
                    "preconditions", "buffers", "kernels", "launches"});
  if (!fields)
    return fields.takeError();
  if (!json.contains("schema") || json["schema"] != 1)
    return planError("schema", "1", json.contains("schema") ? shown(json["schema"]) : "nothing");
  Plan plan;
  NYSJIT_READ(plan.program, fields->string("program"));
  NYSJIT_READ(plan.target, fields->string("target"));
  NYSJIT_READ(plan.specJson, fields->objectText("spec"));
  NYSJIT_RETURN_IF_ERROR(
      readList(*fields, "arguments", maxPlanArguments, plan.arguments, readArgument));
  if (fields->has("sequences"))
    NYSJIT_RETURN_IF_ERROR(readSequences(json["sequences"], plan.sequences));
  NYSJIT_RETURN_IF_ERROR(
      readList(*fields, "preconditions", maxPlanEntries, plan.preconditions, readPrecondition));
  NYSJIT_RETURN_IF_ERROR(readList(*fields, "buffers", maxPlanEntries, plan.buffers, readBuffer));
  NYSJIT_RETURN_IF_ERROR(readList(*fields, "kernels", maxPlanEntries, plan.kernels, readKernel));
  NYSJIT_RETURN_IF_ERROR(readList(*fields, "launches", maxPlanEntries, plan.launches, readLaunch));
  NYSJIT_RETURN_IF_ERROR(checkReferences(plan));
  return plan;
}

} // namespace

Result<Plan> planFromJson(const std::string &text) {
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded() || !json.is_object())
    return Error::mismatch(ErrorKind::InvalidJson, "plan", "a JSON object", text.substr(0, 40));
  return parsePlan(json);
}

} // namespace nysjit
