// Program: arguments, buffers and kernels become a plan and an MLIR module.
#include "compiler/tile/builder/emitter.h"
#include "runtime/spec/config_table.h"

using namespace mlir;
namespace nysjit {

Program::Program(Module &irModule, const KernelSpec &spec, const KernelConfig &given,
                 std::string target, const BlockChooser &blockChooser)
    : module(irModule), kernelSpec(spec), config(given), chooser(blockChooser) {
  plan.layout = layoutName(spec.layout);
  plan.target = std::move(target);
  plan.specJson = canonicalJson(spec);
  if (spec.pass != Pass::Forward)
    plan.saved = {"saved_is_given", spec.pass == Pass::Saving};
}

Program::~Program() = default;

TensorRef Program::buffer(const std::string &name, std::vector<Scalar> shape) {
  TensorRef tensor{name, Element::F32, {}, {}};
  Expression stride(1);
  for (const Scalar &extent : shape)
    tensor.shape.push_back(extent.expression());
  tensor.strides.resize(shape.size());
  for (size_t i = shape.size(); i-- > 0;) {
    tensor.strides[i] = stride;
    stride = Expression::make(Operator::Mul, {tensor.shape[i], stride});
  }
  plan.buffers.push_back({name, Expression::make(Operator::Mul, {stride, Expression(4)})});
  return tensor;
}

TensorRef Program::savedBuffer(const std::string &name, std::vector<Scalar> shape) {
  const TensorRef tensor = buffer(name, std::move(shape));
  plan.buffers.back().isSaved = kernelSpec.pass != Pass::Forward;
  return tensor;
}

void Program::writeForward(const std::function<void()> &write) {
  if (kernelSpec.pass == Pass::Backward)
    launches = symbol("saved_is_given") == 0;
  write();
  launches = 1;
}

void Program::require(const Scalar &holds, const std::string &where, const std::string &expected,
                      const std::string &found) {
  plan.preconditions.push_back({holds.expression(), where, expected, found});
}

static KernelFacts ofSpec(KernelFacts facts, const KernelSpec &spec) {
  facts.dtype = spec.dtype;
  facts.headDim = spec.headDim;
  return facts;
}

BlockConfig Program::blocks(const std::string &kernel, BlockConfig defaults, KernelFacts facts) {
  for (const BlockMember key : chooser.lackingKeys(facts))
    (defaults.*key).reset();
  facts = ofSpec(facts, kernelSpec);
  facts.isSquare = defaults.blockM && !defaults.blockN;
  auto found = config.kernels.find(kernel);
  const BlockConfig given = found == config.kernels.end() ? BlockConfig() : found->second;
  BlockConfig keys = defaults;
  for (const BlockMember key : chooser.targetKeys())
    keys.*key = 1;
  spaceOf[kernel] = blockSpaceOf(kernel, keys);
  return used[kernel] = mergeBlocks(given, chooser.preferred(kernel, facts, defaults), defaults,
                                    chooser.targetKeys());
}

int Program::columns(int most, const KernelFacts &facts) const {
  return chooser.preferred("", ofSpec(facts, kernelSpec), {.blockN = most}).blockN.value_or(most);
}

void Program::kernel(const std::string &name, const Scalar &grid,
                     const std::function<void(Kernel &)> &body, const Scalar &when,
                     SourceLocation loc) {
  if (!used.contains(name))
    blocks(name, {});
  kernelSpaces.push_back(spaceOf[name]);
  const Scalar isLaunched = launches.isConstant() ? when : launches & when;
  plan.launches.push_back({name, grid.expression(), isLaunched.expression()});
  PlanKernel &entry = plan.kernels.emplace_back();
  entry.name = name;
  entry.config = used[name];
  if (!chooser.isWanted(name))
    return;
  auto emitter = std::make_unique<Kernel::Emitter>(module.op.getContext(), kernelSpec.dtype);
  Kernel::Emitter &emit = *emitter;
  OpBuilder &builder = emit.builder;
  builder.setInsertionPointToEnd(module.op.getBody());
  emit.function =
      func::FuncOp::create(builder, emit.at(loc), name, builder.getFunctionType({}, {}));
  emit.function->setAttr("tile.kernel", builder.getUnitAttr());
  builder.setInsertionPointToStart(emit.function.addEntryBlock());
  Kernel kernel(std::move(emitter));
  body(kernel);
  func::ReturnOp::create(builder, emit.at(loc));
  emit.function.setType(
      builder.getFunctionType(emit.function.getBody().front().getArgumentTypes(), {}));
  // Tensors the caller passes may start anywhere; buffers are aligned.
  for (size_t i = 0; i < emit.parameters.size(); ++i)
    for (const PlanArgument &argument : plan.arguments)
      if (emit.parameters[i].type == ParameterType::Pointer &&
          emit.parameters[i].memory == argument.name)
        emit.function.setArgAttr(i, "tile.argument", builder.getUnitAttr());

  entry.parameters = emit.parameters;
}

/// The key that a config gives and the kernel has not, or "".
static const char *unusedKey(const BlockConfig &given, const BlockConfig &used) {
  for (const ConfigRow &row : configTable())
    if (!row.isTargets && given.*row.member && !(used.*row.member))
      return row.name;
  return "";
}

Result<Plan> Program::finish() {
  for (const auto &[name, block] : config.kernels) {
    bool known = false;
    std::string names;
    for (const PlanKernel &kernel : plan.kernels) {
      known |= kernel.name == name;
      names += (names.empty() ? "" : ", ") + kernel.name;
    }
    if (!known)
      return Error::mismatch(ErrorKind::InvalidKey, name,
                             "a kernel of " + plan.layout + ": " + names, "'" + name + "'");
    if (const std::string key = unusedKey(block, used[name]); !key.empty())
      return Error::mismatch(ErrorKind::InvalidKey, name + "." + key,
                             "block sizes that " + name + " has", key);
  }
  return std::move(plan);
}

} // namespace nysjit
