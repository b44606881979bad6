// One row of Markdown for each row of key_table.cpp, config.cpp and tensor_table.cpp. What holds
// for a key or a tensor is said by its row alone.
#include "tests/spec/spec_page.h"
#include "runtime/spec/config_table.h"
#include "runtime/spec/key_table.h"
#include "runtime/spec/tensor_table.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <vector>

namespace nysjit {

namespace {

std::string code(const std::string &text) { return "`" + text + "`"; }

std::string join(const std::vector<std::string> &parts) {
  std::string text;
  for (const std::string &part : parts)
    text += (text.empty() ? "" : ", ") + part;
  return text;
}

std::string number(double value) {
  return value == std::floor(value) ? std::to_string(std::llround(value)) : Json(value).dump();
}

std::string range(double minimum, double maximum) {
  return number(minimum) + "–" + number(maximum);
}

/// "all", "all but `scan`", or names.
std::string layoutsText(LayoutSet set) {
  std::vector<std::string> in;
  std::vector<std::string> out;
  for (const LayoutRow &row : layoutTable())
    (set & layoutBit(row.layout) ? in : out).push_back(code(row.name));
  if (in.empty())
    return "none yet";
  return out.empty() ? "all" : out.size() == 1 ? "all but " + out[0] : join(in);
}

std::string typeText(const KeyRow &row) {
  if (row.type == ValueType::Choice) {
    std::vector<std::string> names;
    for (size_t i = 0; i < row.choices.size(); ++i)
      names.push_back(
          code(row.choices[i]) +
          (row.choiceLayouts.empty() ? "" : " (" + layoutsText(row.choiceLayouts[i]) + ")"));
    return join(names);
  }
  std::string text = row.type == ValueType::Integer ? "integer, " : "number, ";
  text += row.relation == Relation::AtMostLandmarks ? number(row.minimum) + "–`landmarks`"
                                                    : range(row.minimum, row.maximum);
  if (row.multipleOf != 1)
    text += ", multiple of " + std::to_string(row.multipleOf);
  if (row.relation == Relation::MultipleOfLandmarks)
    text += ", multiple of `landmarks`";
  if (row.maximumWithInverse != 0)
    text += "; to " + number(row.maximumWithInverse) + " in " + layoutsText(layoutsWithInverse);
  if (row.maximumIfDyadic != 0)
    text +=
        std::string("; to ") + number(row.maximumIfDyadic) + " " + conditionText(Condition::Dyadic);
  return text;
}

/// Of a key that is left out.
std::string ownDefaultText(const KeyRow &row) {
  if (row.absent)
    return row.absent;
  const Json value = row.get(KernelSpec());
  return code(row.type == ValueType::Choice ? row.choices[value.get<size_t>()]
                                            : number(value.get<double>()));
}

std::string defaultText(const KeyRow &row) {
  if (row.neededIf != Condition::None)
    return ownDefaultText(row) + "; needed " + conditionText(row.neededIf);
  if (!row.isNeeded)
    return ownDefaultText(row);
  return row.optionalIn ? "needed; in " + layoutsText(row.optionalIn) + " " + ownDefaultText(row)
                        : "needed";
}

std::string usedText(const KeyRow &row) {
  const std::string condition = conditionText(row.condition);
  return layoutsText(row.layouts) + (condition.empty() ? "" : "; " + condition);
}

std::string line(const std::vector<std::string> &cells) {
  std::string text = "|";
  for (const std::string &cell : cells)
    text += " " + cell + " |";
  return text + "\n";
}

std::string typeText(const ConfigRow &row) {
  return std::string(row.mayBeZero ? "0, or " : "") + "integer, " +
         range(row.minimum, row.maximum) + (row.isPowerOfTwo ? ", power of two" : "");
}

std::string shapeText(const TensorRow &row) {
  if (row.shape.empty())
    return "–";
  std::string text;
  for (const bool isPacked : {false, true}) {
    if (isPacked && !row.isPackable)
      break;
    std::vector<std::string> names;
    for (const std::string_view name : dimensionNames(row, isPacked))
      names.emplace_back(name);
    text += (isPacked ? ", packed [" : "[") + join(names) + "]";
  }
  return text;
}

const char *elementText(TensorElement element) {
  switch (element) {
  case TensorElement::SpecDtype: return "`dtype`";
  case TensorElement::Output: return "float32 or `dtype`";
  case TensorElement::Float32: return "float32";
  case TensorElement::Int32: return "int32";
  }
  return "";
}

const char *roleText(TensorRole role) {
  switch (role) {
  case TensorRole::Input: return "input";
  case TensorRole::OptionalInput: return "input, optional";
  case TensorRole::Output: return "output";
  case TensorRole::OptionalOutput: return "output, optional";
  case TensorRole::InPlace: return "read and written";
  case TensorRole::Result: return "output; of a backward program input";
  }
  return "";
}

std::string usedText(const TensorRow &row) {
  const std::string text =
      layoutsText(row.layouts) + (row.passes == allPasses ? "" : "; if pass is backward");
  switch (row.condition) {
  case TensorCondition::None: break;
  case TensorCondition::LearnedLandmarks: return text + "; if landmark_source is learned";
  case TensorCondition::Convolution: return text + "; if conv_kernel is not 0";
  }
  return text;
}

std::string tensorTableText() {
  std::string text =
      line({"tensor", "shape", "elements", "role", "layouts", "`nysjit run`", "meaning"}) +
      "|---|---|---|---|---|---|---|\n";
  for (const TensorRow &row : tensorTable())
    text += line({code(row.name), shapeText(row), elementText(row.element), roleText(row.role),
                  usedText(row), row.flag ? code(row.flag) : "–", row.meaning});
  return text;
}

} // namespace

std::string specPage() {
  std::string page = R"(# The keys of a spec and of a config, and the tensors of a run

<!-- Made by build/bin/spec_page of the tables in runtime/spec, which check the JSON, too.
     Change those. -->

A **KernelSpec** is one JSON object that says what is computed. What has no default is needed. A key
that the layout has no use for is an error even at its default; so is an unknown key, one given
twice, a wrong type (`64.0` is no integer) and a number out of range, and the message names the key.
Every file may carry `"schema": 1`.

)";
  page += line({"key", "type, range", "default", "layouts", "meaning"}) + "|---|---|---|---|---|\n";
  for (const KeyRow &row : keyTable())
    page += line({code(row.name), typeText(row), defaultText(row), usedText(row), row.meaning});
  page += R"(
A **KernelConfig** says how, by kernel name: `{"causal_output": {"block_m": 64, "block_n": 64}}`.
Every key is optional, what is absent is chosen for the target, and results depend on it by rounding
only. A kernel that has no such block size is an error. `nysjit compile SPEC.json --json` shows the
kernels of a spec and the config in use.

)";
  page += line({"key", "type, range", "meaning"}) + "|---|---|---|\n";
  for (const ConfigRow &row : configTable())
    page += line({code(row.name), typeText(row), row.meaning});
  page += R"(
The **tensors** of a run, by their names in `nysjit_run_args` and in plans, and by the flag of
`nysjit run` that names their file. B sequences (or rows of a batch), Hq query heads, Hkv key/value
heads, n positions, d `head_dim`, m `landmarks`, c `conv_kernel`; packed sequences have `total`
positions together.

)";
  return page + tensorTableText();
}

} // namespace nysjit
