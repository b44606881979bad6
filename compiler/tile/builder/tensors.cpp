// Tensors of the table as a program's arguments.
#include "compiler/tile/builder/program.h"
#include "runtime/spec/tensor_table.h"

namespace nysjit {

static Element elementOf(DType dtype) {
  switch (dtype) {
  case DType::Float32: return Element::F32;
  case DType::Float16: return Element::F16;
  case DType::BFloat16: return Element::BF16;
  }
  return Element::F32;
}

/// A dimension of the row, as an expression over the plan's symbols.
static Expression extentOf(const TensorRow &row, const char *dimension, const KernelSpec &spec) {
  if (row.extentSymbol)
    return Expression::symbol(row.extentSymbol);
  if (const std::optional<int64_t> number = specDimension(dimension, spec))
    return Expression(*number);
  return Expression::symbol(dimension);
}

TensorRef Program::tensor(const std::string &name) {
  const TensorRow &row = tensorRow(name);
  TensorRef tensor;
  tensor.name = name;
  PlanArgument argument;
  argument.name = name;
  argument.isOutput = isWrittenBy(row, kernelSpec.pass);
  argument.isOptional = isOptional(row);
  for (const char *dimension : row.shape)
    tensor.shape.push_back(extentOf(row, dimension, kernelSpec));
  for (size_t i = 0; i + 1 < tensor.shape.size(); ++i)
    tensor.strides.push_back(Expression::symbol(name + "_stride_" + std::to_string(i)));
  tensor.strides.push_back(Expression(1));
  argument.shape = tensor.shape;
  argument.strides = tensor.strides;
  if (row.isPackable)
    argument.packedSymbol = "is_packed";

  const Element ofSpec = elementOf(kernelSpec.dtype);
  switch (row.element) {
  case TensorElement::SpecDtype:
    tensor.element = ofSpec;
    argument.dtypes = {dtypeName(kernelSpec.dtype)};
    break;
  case TensorElement::Float32: argument.dtypes = {"float32"}; break;
  case TensorElement::Int32:
    tensor.element = Element::I32;
    argument.dtypes = {"int32"};
    break;
  case TensorElement::Output: // as the caller passes it
    argument.dtypes = {"float32"};
    tensor.outputElement = ofSpec;
    if (ofSpec != Element::F32) {
      argument.dtypes.push_back(dtypeName(kernelSpec.dtype));
      argument.dtypeSymbol = tensor.dtypeSymbol = name + "_dtype";
    }
    break;
  }
  tensor.isOutput = argument.isOutput;
  if (argument.isOutput && argument.isOptional)
    argument.presenceSymbol = tensor.presenceSymbol = name + "_is_given";
  plan.arguments.push_back(std::move(argument));
  return tensor;
}

} // namespace nysjit
