// Barriers, fences, exchanges between lanes, and control.
#include "runtime/emulator/decoder.h"

namespace nysjit::emulator {

using syntax::Operand;
using Kind = Operand::Kind;

void Decoder::barrier() {
  if (take("warp")) { // bar.warp.sync
    take("sync");
    if (!expectOperands(1, 1))
      return;
    bind(1, 0, Type::U32);
    out.member = out.op[1];
    out.converge = Converge::Members;
    out.handler = executeWarpBarrier;
    return;
  }
  bool aligned = text->opcode == "bar"; // bar.sync is barrier.sync.aligned
  aligned |= take("aligned");
  // a cluster of one block: barrier.cluster.arrive and .wait are a barrier of the block, taken
  if (take("cluster")) {
    // at the wait
    bool wait = take("wait");
    take("arrive");
    for (const char *m : {"acquire", "release", "relaxed"})
      take(m);
    out.converge = aligned ? Converge::Aligned : Converge::No;
    out.immediate = 15;
    out.handler = wait ? executeBarrier : executeNothing;
    return;
  }
  take("cta");
  bool arrive = take("arrive");
  bool red = take("red");
  take("sync");
  out.converge = aligned ? Converge::Aligned : Converge::No;
  out.handler = executeBarrier;
  size_t at = 0;
  if (red) {
    out.variant = take("popc") ? 2 : take("and") ? 3 : take("or") ? 4 : 0;
    if (out.variant == 0)
      return fail("expected .popc, .and or .or");
    take("u32");
    take("pred");
    if (!expectOperands(3, 4))
      return;
    if (out.variant == 2)
      bindDestination(0, 0, Type::U32);
    else
      bindPredicateDestination(0, 0);
    bindPredicate(3, operandCount() - 1, &out.flag);
    at = 1;
  } else {
    out.variant = arrive;
    if (!expectOperands(arrive ? 2 : 1, 2))
      return;
  }
  if (operand(at).kind == Kind::Integer)
    out.immediate = int64_t(operand(at).bits);
  else
    bind(1, at, Type::U32);
  if (operandCount() - at - red > 1)
    bind(2, at + 1, Type::U32);
}

void Decoder::fence() {
  left.clear();
  out.handler = executeFence;
}

/// The next launch may always begin as late as this one's end.
void Decoder::gridDependency() {
  if (take("wait"))
    out.handler = executeDependencyWait;
  else if (take("launch_dependents"))
    out.handler = executeNothing;
  else
    fail("expected griddepcontrol.wait or griddepcontrol.launch_dependents");
}

void Decoder::sleep() {
  left.clear();
  out.handler = executeYield;
}

/// shfl.sync.bfly.b32 d|p, a, b, c, membermask.
void Decoder::shuffle() {
  if (!take("sync"))
    return fail("shfl without .sync is not supported");
  out.variant = take("up") ? 0 : take("down") ? 1 : take("bfly") ? 2 : take("idx") ? 3 : 4;
  if (out.variant == 4)
    return fail("expected .up, .down, .bfly or .idx");
  if (!take("b32"))
    return fail("expected .b32");
  if (!expectOperands(5, 5))
    return;
  Operand d = operand(0);
  if (d.second >= 0)
    out.op[4] = registerPlaces[functionIndex][uint32_t(d.second)];
  d.second = -1;
  bool wide = false;
  if (d.kind != Kind::Register)
    return fail("expected a destination register");
  out.op[0] = place(d, Type::B32, wide);
  for (uint32_t o = 1; o < 4; ++o)
    bind(o, o, Type::B32);
  out.member = place(operand(4), Type::B32, wide);
  out.converge = Converge::Members;
  out.handler = executeShuffle;
}

void Decoder::vote() {
  if (!take("sync"))
    return fail("vote without .sync is not supported");
  out.variant = take("all") ? 0 : take("any") ? 1 : take("uni") ? 2 : take("ballot") ? 3 : 4;
  take("pred");
  take("b32");
  if (out.variant == 4)
    return fail("expected .all, .any, .uni or .ballot");
  if (!expectOperands(3, 3))
    return;
  if (out.variant == 3)
    bindDestination(0, 0, Type::B32);
  else
    bindPredicateDestination(0, 0);
  bindPredicate(1, 1, &out.flag);
  bool wide = false;
  out.member = place(operand(2), Type::B32, wide);
  out.converge = Converge::Members;
  out.handler = executeVote;
}

void Decoder::match() {
  bool all = take("all");
  if (!all && !take("any"))
    return fail("expected .any or .all");
  take("sync");
  Type type = takeType();
  if (!expectOperands(3, 3))
    return;
  out.variant = all;
  Operand d = operand(0);
  if (d.second >= 0)
    out.op[4] = registerPlaces[functionIndex][uint32_t(d.second)];
  d.second = -1;
  bool wide = false;
  out.op[0] = place(d, Type::B32, wide);
  bind(1, 1, type);
  out.member = place(operand(2), Type::B32, wide);
  out.converge = Converge::Members;
  out.handler = executeMatch;
}

void Decoder::reduceLanes() {
  take("sync");
  constexpr const char *names[] = {"add", "min", "max", "and", "or", "xor"};
  out.variant = 6;
  for (uint8_t n = 0; n < 6; ++n)
    if (take(names[n]))
      out.variant = n;
  out.saturate = take("abs");
  out.flag = take("NaN");
  out.type = takeType();
  if (out.variant == 6 || typeBytes(out.type) != 4 ||
      (out.type == Type::F32 && out.variant != 1 && out.variant != 2))
    return fail("this operation is not supported");
  if (!expectOperands(3, 3))
    return;
  bindDestination(0, 0, Type::B32);
  bind(1, 1, Type::B32);
  bool wide = false;
  out.member = place(operand(2), Type::B32, wide);
  out.converge = Converge::Members;
  out.handler = executeReduce;
}

void Decoder::activeMask() {
  take("b32");
  if (!expectOperands(1, 1))
    return;
  bindDestination(0, 0, Type::B32);
  out.handler = executeActiveMask;
}

void Decoder::elect() {
  take("sync");
  if (!expectOperands(2, 2))
    return;
  Operand d = operand(0);
  if (d.second >= 0)
    out.op[4] = registerPlaces[functionIndex][uint32_t(d.second)];
  d.second = -1;
  bool wide = false;
  if (d.kind == Kind::Register)
    out.op[0] = place(d, Type::B32, wide);
  out.member = place(operand(1), Type::B32, wide);
  out.converge = Converge::Members;
  out.handler = executeElect;
}

void Decoder::branch() {
  take("uni");
  if (!expectOperands(1, 1))
    return;
  int64_t target =
      operand(0).kind == Kind::Name ? function->label(operand(0).text, text->scope) : -1;
  if (target < 0)
    return fail("expected a label, found \"" + operand(0).text + "\"");
  out.immediate = bases[functionIndex] + target;
  out.handler = executeBranch;
}

void Decoder::indexedBranch() {
  take("idx");
  take("uni");
  if (!expectOperands(2, 2))
    return;
  bind(0, 0, Type::U32);
  for (const syntax::BranchTargets &targets : function->branchTargets) {
    if (targets.name != operand(1).text)
      continue;
    out.list = uint32_t(code.lists.size());
    code.lists.push_back(uint32_t(targets.labels.size()));
    for (const std::string &name : targets.labels) {
      int64_t target = function->label(name, text->scope);
      if (target < 0)
        return fail("expected a label, found \"" + name + "\"");
      code.lists.push_back(bases[functionIndex] + uint32_t(target));
    }
    out.handler = executeIndexedBranch;
    return;
  }
  fail("expected a list of branch targets, found \"" + operand(1).text + "\"");
}

namespace {
/// printf: prints nothing and says so much was written: its result, `immediate` in the frame, is 0.
void executeSilentCall(Warp &warp, const Instruction &i, uint32_t mask) {
  size_t size = warp.execution->code.frameBytes;
  for (uint32_t rest = mask; i.immediate >= 0 && rest; rest &= rest - 1) {
    size_t at = size * uint32_t(__builtin_ctz(rest)) + size_t(i.immediate);
    for (size_t b = at; b < at + 4; ++b)
      warp.frame[b] = 0, warp.frameWritten[b] = 1;
  }
}
} // namespace

/// Lists which bytes of the caller's frame go where in that of function f, and back.
void Decoder::callFunction(uint32_t f, const Operand *results, const Operand *arguments) {
  const syntax::Function &callee = module.functions[f];
  size_t resultCount = results ? results->elements.size() : 0;
  size_t argumentCount = arguments ? arguments->elements.size() : 0;
  if (callee.resultCount != resultCount || callee.parameterCount != argumentCount)
    return fail("expected " + std::to_string(callee.resultCount) + " results and " +
                std::to_string(callee.parameterCount) + " arguments of " + callee.name);
  for (int32_t formal : callee.formalRegisters)
    if (formal >= 0)
      return fail("functions with .reg parameters are not supported");
  auto copy = [&](const Operand &actual, uint32_t formal, bool in) {
    uint32_t outside = framePlaces[functionIndex][actual.index];
    uint32_t inside = framePlaces[f][formal];
    uint64_t bytes =
        std::min(function->variables[actual.index].bytes, callee.variables[formal].bytes);
    code.lists.insert(code.lists.end(),
                      {in ? outside : inside, in ? inside : outside, uint32_t(bytes)});
  };
  out.list = uint32_t(code.lists.size());
  code.lists.push_back(uint32_t(argumentCount));
  for (uint32_t a = 0; a < argumentCount; ++a)
    copy(arguments->elements[a], callee.resultCount + a, true);
  code.lists.push_back(uint32_t(resultCount));
  for (uint32_t r = 0; r < resultCount; ++r)
    copy(results->elements[r], r, false);
  calls.push_back({uint32_t(code.instructions.size()), f});
  out.handler = executeCall;
}

/// call (result), name, (arguments): by .param variables.
void Decoder::call() {
  take("uni");
  const Operand *results = nullptr;
  const Operand *name = nullptr;
  const Operand *arguments = nullptr;
  for (const Operand &o : text->operands)
    if (o.kind == Kind::List)
      (name ? arguments : results) = &o;
    else if (!name)
      name = &o;
  if (!name || name->kind != Kind::Name)
    return fail("calls through a register are not supported");
  for (const Operand *list : {results, arguments})
    if (list)
      for (const Operand &o : list->elements)
        // A kernel's parameters lie elsewhere than what calls copy.
        if (o.kind != Kind::Variable || o.moduleVariable ||
            (functionIndex == entry && o.index < function->resultCount + function->parameterCount))
          return fail("expected .param variables of the function's own as arguments");
  if (name->text == "vprintf") {
    if (results && !results->elements.empty() &&
        function->variables[results->elements[0].index].bytes < 4)
      return fail("expected a result of 4 bytes");
    out.immediate = results && !results->elements.empty()
                        ? int64_t(framePlaces[functionIndex][results->elements[0].index])
                        : -1;
    out.handler = executeSilentCall;
    return;
  }
  if (name->text == "__assertfail" || name->text == "__assert_fail") {
    out.flag = true;
    out.handler = executeTrap;
    return;
  }
  for (uint32_t f : reachable)
    if (module.functions[f].name == name->text)
      return callFunction(f, results, arguments);
  fail("expected a function with a body, found \"" + name->text + "\"");
}

void Decoder::ret() {
  take("uni");
  out.handler = executeReturn;
}
void Decoder::exit() { out.handler = executeExit; }
void Decoder::trap() { out.handler = executeTrap; }

} // namespace nysjit::emulator
