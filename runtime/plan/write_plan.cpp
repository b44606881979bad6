// A plan as text: one line for each argument, buffer, parameter and launch, so that two plans can
// be compared by eye.
#include "runtime/plan/plan.h"

#include <nlohmann/json.hpp>

namespace nysjit {

namespace {

using Line = nlohmann::ordered_json;

Line line(const Expression &e) { return Line::parse(e.toJson().dump()); }

Line expressions(const std::vector<Expression> &list) {
  Line json = Line::array();
  for (const Expression &e : list)
    json.push_back(line(e));
  return json;
}

std::string compact(const Line &json) {
  return json.dump(-1, ' ', false, Line::error_handler_t::replace);
}

/// "[\n  a,\n  b\n]" with the elements at `indent`.
std::string block(const std::vector<std::string> &elements, const std::string &indent) {
  if (elements.empty())
    return "[]";
  std::string text = "[";
  for (size_t i = 0; i < elements.size(); ++i)
    text += (i ? ",\n" : "\n") + indent + "  " + elements[i];
  return text + "\n" + indent + "]";
}

std::string argumentLine(const PlanArgument &argument) {
  Line json = {{"name", argument.name}, {"output", argument.isOutput}, {"dtypes", argument.dtypes}};
  if (!argument.dtypeSymbol.empty())
    json["dtype_symbol"] = argument.dtypeSymbol;
  if (!argument.alignmentSymbol.empty())
    json["alignment_symbol"] = argument.alignmentSymbol;
  if (argument.isOptional)
    json["optional"] = true;
  if (!argument.presenceSymbol.empty())
    json["presence_symbol"] = argument.presenceSymbol;
  if (!argument.packedSymbol.empty())
    json["packed_symbol"] = argument.packedSymbol;
  json["shape"] = expressions(argument.shape);
  json["strides"] = expressions(argument.strides);
  return compact(json);
}

std::string sequencesLine(const PlanSequences &sequences) {
  Line json = Line::object();
  for (const auto &[key, value] : {std::pair("offsets", &sequences.offsets),
                                   {"lengths", &sequences.lengths},
                                   {"starts", &sequences.starts},
                                   {"parts", &sequences.sourceLengths},
                                   {"rows", &sequences.rows},
                                   {"max_length", &sequences.maxLength}})
    if (!value->empty())
      json[key] = *value;
  return compact(json);
}

std::string bufferLine(const PlanBuffer &buffer) {
  Line json = {{"name", buffer.name}, {"bytes", line(buffer.bytes)}};
  if (buffer.isSaved)
    json["saved"] = true;
  return compact(json);
}

std::string parameterLine(const PlanParameter &parameter) {
  Line json = {{"name", parameter.name}};
  switch (parameter.type) {
  case ParameterType::Pointer:
    json["type"] = "pointer";
    json["memory"] = parameter.memory;
    break;
  case ParameterType::I32:
  case ParameterType::I64:
    json["type"] = parameter.type == ParameterType::I32 ? "i32" : "i64";
    json["value"] = line(parameter.value);
    break;
  case ParameterType::F32: json["type"] = "f32"; break;
  }
  return compact(json);
}

std::string kernelText(const PlanKernel &kernel) {
  std::vector<std::string> parameters;
  for (const PlanParameter &parameter : kernel.parameters)
    parameters.push_back(parameterLine(parameter));
  const std::string gpu = kernel.blockThreads == 0
                              ? ""
                              : ", \"block\": " + std::to_string(kernel.blockThreads) +
                                    ", \"shared_bytes\": " + std::to_string(kernel.sharedBytes) +
                                    (kernel.mayOverlap ? ", \"may_overlap\": true" : "");
  return "{\"name\": " + compact(kernel.name) +
         ", \"scratch_bytes\": " + std::to_string(kernel.scratchBytes) + gpu +
         ", \"config\": " + canonicalJson(kernel.config) +
         ",\n     \"parameters\": " + block(parameters, "     ") + "}";
}

} // namespace

std::string planToJson(const Plan &plan) {
  std::vector<std::string> arguments;
  std::vector<std::string> preconditions;
  std::vector<std::string> buffers;
  std::vector<std::string> kernels;
  std::vector<std::string> launches;
  for (const PlanArgument &argument : plan.arguments)
    arguments.push_back(argumentLine(argument));
  for (const PlanPrecondition &condition : plan.preconditions)
    preconditions.push_back(compact({{"holds", line(condition.holds)},
                                     {"where", condition.where},
                                     {"expected", condition.expected},
                                     {"found", condition.found}}));
  for (const PlanBuffer &buffer : plan.buffers)
    buffers.push_back(bufferLine(buffer));
  for (const PlanKernel &kernel : plan.kernels)
    kernels.push_back(kernelText(kernel));
  for (const PlanLaunch &launch : plan.launches) {
    Line json = {{"kernel", launch.kernel}, {"grid", line(launch.grid)}};
    if (!(launch.when == Expression(1)))
      json["when"] = line(launch.when);
    launches.push_back(compact(json));
  }
  std::string text = "{\n  \"schema\": 1,\n";
  text +=
      "  \"program\": " + compact(plan.layout) + ",\n  \"target\": " + compact(plan.target) + ",\n";
  text += "  \"spec\": " + (plan.specJson.empty() ? "{}" : plan.specJson) + ",\n";
  text += "  \"arguments\": " + block(arguments, "  ") + ",\n";
  if (!plan.sequences.rows.empty())
    text += "  \"sequences\": " + sequencesLine(plan.sequences) + ",\n";
  text += "  \"preconditions\": " + block(preconditions, "  ") + ",\n";
  text += "  \"buffers\": " + block(buffers, "  ") + ",\n";
  if (!plan.saved.symbol.empty())
    text += "  \"saved\": " +
            compact({{"symbol", plan.saved.symbol}, {"needed", plan.saved.isNeeded}}) + ",\n";
  text += "  \"kernels\": " + block(kernels, "  ") + ",\n";
  text += "  \"launches\": " + block(launches, "  ") + "\n}\n";
  return text;
}

} // namespace nysjit
