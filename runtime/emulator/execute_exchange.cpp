// Between the lanes of a warp: shfl, vote, match, redux, elect. Their lanes have arrived
// (Converge::Members).
#include "runtime/emulator/handlers.h"

namespace nysjit::emulator {

/// op: d, a, b, c; op[4]: the predicate. variant: 0 up, 1 down, 2 bfly, 3 idx.
void executeShuffle(Warp &warp, const Instruction &i, uint32_t mask) {
  uint32_t *d = warp.lanes<uint32_t>(i.op[0]);
  const uint32_t *a = warp.lanes<uint32_t>(i.op[1]);
  const uint32_t *b = warp.lanes<uint32_t>(i.op[2]);
  const uint32_t *c = warp.lanes<uint32_t>(i.op[3]);
  uint32_t from[32];
  uint32_t inRange = 0;
  uint32_t absent = 0;
  for (uint32_t l = 0; l < 32; ++l)
    from[l] = a[l];
  for (uint32_t rest = mask; rest; rest &= rest - 1) {
    uint32_t lane = uint32_t(__builtin_ctz(rest));
    uint32_t segment = c[lane] >> 8 & 31;
    uint32_t clamp = c[lane] & 31;
    uint32_t by = b[lane] & 31;
    uint32_t most = (lane & segment) | (clamp & ~segment);
    uint32_t least = lane & segment;
    uint32_t source = lane;
    bool good = false;
    switch (i.variant) {
    case 0: source = lane - by, good = int32_t(source) >= int32_t(most); break;
    case 1: source = lane + by, good = source <= most; break;
    case 2: source = lane ^ by, good = source <= most; break;
    default: source = least | (by & ~segment), good = source <= most; break;
    }
    if (!good)
      source = lane;
    else
      inRange |= 1u << lane;
    if (!(mask >> source & 1))
      absent |= 1u << lane;
    d[lane] = from[source];
  }
  if (i.op[4] != noOperand) {
    uint32_t &p = warp.predicate(i.op[4]);
    p = (p & ~mask) | inRange;
  }
  if (absent & warp.valid)
    for (uint32_t rest = absent; rest; rest &= rest - 1) {
      // Reading a lane that takes no part gives an undefined value: a zero here is as good as any,
      // but say so.
      d[__builtin_ctz(rest)] = 0;
      if ((rest & (rest - 1)) == 0)
        warp.execution->uninitialised(warp, uint32_t(__builtin_ctz(rest)),
                                      "another lane's (shfl from a lane that takes no part)", 0, 4);
    }
}

/// op: d, predicate. variant: 0 all, 1 any, 2 uni, 3 ballot; flag: the predicate is negated.
void executeVote(Warp &warp, const Instruction &i, uint32_t mask) {
  uint32_t p = warp.predicate(i.op[1]);
  p = (i.flag ? ~p : p);
  const uint32_t *members = warp.lanes<uint32_t>(i.member);
  uint32_t result = 0;
  for (uint32_t rest = mask; rest; rest &= rest - 1) {
    uint32_t lane = uint32_t(__builtin_ctz(rest));
    uint32_t group = members[lane] & mask;
    uint32_t yes = p & group;
    if (i.variant == 3)
      warp.lanes<uint32_t>(i.op[0])[lane] = yes;
    else if (i.variant == 0 ? yes == group : i.variant == 1 ? yes != 0 : yes == 0 || yes == group)
      result |= 1u << lane;
  }
  if (i.variant != 3) {
    uint32_t &d = warp.predicate(i.op[0]);
    d = (d & ~mask) | result;
  }
}

void executeActiveMask(Warp &warp, const Instruction &i, uint32_t mask) {
  for (uint32_t rest = mask; rest; rest &= rest - 1)
    warp.lanes<uint32_t>(i.op[0])[__builtin_ctz(rest)] = mask;
}

/// op: d, a; op[4]: predicate. variant: 0 any, 1 all.
void executeMatch(Warp &warp, const Instruction &i, uint32_t mask) {
  const uint32_t *members = warp.lanes<uint32_t>(i.member);
  uint64_t values[32];
  for (uint32_t l = 0; l < 32; ++l)
    values[l] = warp.value(i, 1, l);
  uint32_t all = 0;
  for (uint32_t rest = mask; rest; rest &= rest - 1) {
    uint32_t lane = uint32_t(__builtin_ctz(rest));
    uint32_t group = members[lane] & mask;
    uint32_t same = 0;
    for (uint32_t l = 0; l < 32; ++l)
      if (group >> l & 1 && values[l] == values[lane])
        same |= 1u << l;
    bool whole = same == group;
    all |= whole ? 1u << lane : 0;
    warp.lanes<uint32_t>(i.op[0])[lane] = i.variant == 0 || whole ? same : 0;
  }
  if (i.op[4] != noOperand) {
    uint32_t &p = warp.predicate(i.op[4]);
    p = (p & ~mask) | all;
  }
}

/// op: d, a. variant: 0 add, 1 min, 2 max, 3 and, 4 or, 5 xor; of u32, s32, b32, or f32 (min, max;
/// saturate: abs; flag: NaN).
void executeReduce(Warp &warp, const Instruction &i, uint32_t mask) {
  const uint32_t *members = warp.lanes<uint32_t>(i.member);
  uint32_t a[32];
  for (uint32_t l = 0; l < 32; ++l)
    a[l] = warp.lanes<uint32_t>(i.op[1])[l];
  for (uint32_t rest = mask; rest; rest &= rest - 1) {
    uint32_t lane = uint32_t(__builtin_ctz(rest));
    uint32_t result = 0;
    bool first = true;
    for (uint32_t group = members[lane] & mask; group; group &= group - 1) {
      uint32_t v = a[__builtin_ctz(group)];
      if (i.type == Type::F32) { // ordered as integers: negative values turned round
        if (i.saturate)
          v &= 0x7fffffff;
        bool nan = (v & 0x7fffffff) > 0x7f800000;
        bool resultNan = (result & 0x7fffffff) > 0x7f800000;
        auto key = [](uint32_t bits) { return bits & 0x80000000 ? ~bits : bits | 0x80000000; };
        if (first || resultNan)
          result = first || !i.flag ? v : result;
        else if (nan)
          result = i.flag ? 0x7fffffff : result;
        else if (i.variant == 1 ? key(v) < key(result) : key(v) > key(result))
          result = v;
        first = false;
        continue;
      }
      if (first)
        result = v;
      else
        switch (i.variant) {
        case 0: result += v; break;
        case 1:
          result = i.type == Type::S32 ? uint32_t(std::min(int32_t(result), int32_t(v)))
                                       : std::min(result, v);
          break;
        case 2:
          result = i.type == Type::S32 ? uint32_t(std::max(int32_t(result), int32_t(v)))
                                       : std::max(result, v);
          break;
        case 3: result &= v; break;
        case 4: result |= v; break;
        default: result ^= v; break;
        }
      first = false;
    }
    warp.lanes<uint32_t>(i.op[0])[lane] = result;
    // The same for all lanes of one group: the rule is that there is one group.
    if (members[lane] == ~0u || (members[lane] & mask) == mask) {
      for (uint32_t others = mask; others; others &= others - 1)
        if (members[__builtin_ctz(others)] == members[lane])
          warp.lanes<uint32_t>(i.op[0])[__builtin_ctz(others)] = result,
          rest &= ~(others & -others) | (1u << lane);
    }
  }
}

/// op: d, -; op[4]: predicate. The lowest lane is elected.
void executeElect(Warp &warp, const Instruction &i, uint32_t mask) {
  const uint32_t *members = warp.lanes<uint32_t>(i.member);
  uint32_t elected = 0;
  for (uint32_t rest = mask; rest; rest &= rest - 1) {
    uint32_t lane = uint32_t(__builtin_ctz(rest));
    uint32_t leader =
        uint32_t(__builtin_ctz(members[lane] & mask ? members[lane] & mask : 1u << lane));
    warp.setValue(i, 0, lane, leader);
    elected |= leader == lane ? 1u << lane : 0;
  }
  if (i.op[4] != noOperand) {
    uint32_t &p = warp.predicate(i.op[4]);
    p = (p & ~mask) | elected;
  }
}

} // namespace nysjit::emulator
