// The turns of a loop are walked one by one, with what is known in each.
#include "tests/conformance/ptx_turns.h"
#include "tests/conformance/ptx_tile_loops.h"

#include <algorithm>
#include <map>
#include <set>

namespace nysjit::conformance {

namespace {

/// A line in a turn; outside the loop it is in none.
struct Place {
  static constexpr uint32_t outside = ~0u;
  size_t line;
  uint32_t turn;
  auto operator<=>(const Place &) const = default;
};

std::vector<std::string> registersIn(const std::string &operand) {
  std::vector<std::string> names;
  for (size_t at = operand.find('%'); at != std::string::npos; at = operand.find('%', at + 1))
    names.push_back(operand.substr(at, operand.find_first_of(", }+]|", at) - at));
  return names;
}

/// Whether an instruction only computes one register.
bool isSum(const PtxInstruction &i) {
  static const std::set<std::string> sums = {"mov.b32", "add.s32", "sub.s32", "shl.b32", "shr.u32",
                                             "and.b32", "or.b32",  "xor.b32", "selp.b32"};
  return i.guard.empty() && (sums.contains(i.opcode) || i.is("setp."));
}

/// The loop from its first turn on, each turn with what is known in it.
class Turns {
public:
  Turns(const PtxText &ptx, const TileLoop &loop, uint32_t turns, const KnownValues &values)
      : ptx(ptx), loop(loop), turns(turns), values(values) {}

  /// Whether there is one way into the loop. `watched`: the line whose states are kept.
  bool walk(size_t watched) {
    const std::optional<size_t> from = entry();
    if (!from || !values.isReached(*from))
      return false;
    KnownValues::State first = values.stateBefore(*from);
    values.execute(first, *from);
    arrive({loop.top, 0}, first);
    while (!open.empty()) {
      const Place at = *open.begin();
      open.erase(open.begin());
      run(at, watched);
    }
    return true;
  }

  /// Before the watched line, of each turn that runs it.
  const std::map<uint32_t, KnownValues::State> &states() const { return watchedStates; }

  /// Whether nothing reads what `line` writes in a turn, nor what follows from it, but to compute.
  bool isUnread(size_t line, uint32_t turn) const {
    std::map<Place, std::set<std::string>> changed;
    std::set<Place> places;
    const auto visit = [&](const Place &place, const std::set<std::string> &names) {
      std::set<std::string> &all = changed[place];
      const size_t before = all.size();
      all.insert(names.begin(), names.end());
      if (all.size() != before)
        places.insert(place);
    };
    for (const Place &way : waysOf({line, turn}))
      visit(way, {ptx.instruction(line)->operands[0]});
    while (!places.empty()) {
      const Place at = *places.begin();
      places.erase(places.begin());
      std::set<std::string> names = changed.at(at);
      if (const PtxInstruction *i = ptx.instruction(at.line); i && !follow(*i, at, names))
        return false;
      for (const Place &way : waysOf(at))
        visit(way, names);
    }
    return true;
  }

private:
  /// The line that control enters the loop from.
  std::optional<size_t> entry() const {
    std::vector<size_t> all;
    for (size_t line = 0; line < ptx.lines().size(); ++line)
      if (ptx.kernel(line) == ptx.kernel(loop.top) && !loop.lines.contains(line) &&
          std::ranges::count(waysFrom(ptx, line), loop.top))
        all.push_back(line);
    return all.size() == 1 ? std::optional(all[0]) : std::nullopt;
  }
  void arrive(const Place &place, const KnownValues::State &state) {
    const auto [known, isNew] = arrived.try_emplace(place, state);
    if (isNew || KnownValues::meet(known->second, state))
      open.insert(place);
  }
  void run(Place at, size_t watched) {
    KnownValues::State state = arrived.at(at);
    for (;; ++at.line) {
      if (at.line == watched)
        watchedStates.insert_or_assign(at.turn, state);
      note(at, state);
      const std::vector<size_t> next = values.next(at.line, state);
      values.execute(state, at.line);
      decide(at, state);
      std::vector<Place> &places = ways[at];
      places.clear();
      for (size_t line : next)
        places.push_back({line, !loop.lines.contains(line) ? Place::outside
                                : line == loop.top         ? at.turn + 1
                                                           : at.turn});
      const bool isPlain = next.size() == 1 && next[0] == at.line + 1 &&
                           !ptx.lines()[next[0]].starts_with("$") &&
                           places[0].turn != Place::outside;
      if (isPlain)
        continue;
      for (const Place &place : places)
        if (place.turn != Place::outside)
          arrive(place, state);
      return;
    }
  }
  /// That there is no turn after the last.
  void decide(const Place &at, KnownValues::State &state) const {
    const PtxInstruction *i = ptx.instruction(at.line);
    if (at.line == loop.test && at.turn == turns)
      values.assume(state, i->operands[0], true);
    if (i && i->is("setp.lt.s32") && at.turn + 1 == turns && !loop.early.contains(at.line) &&
        i->operands[1] == loop.following &&
        i->operands[2] == ptx.instruction(loop.test)->operands[2])
      values.assume(state, i->operands[0], false);
  }
  void note(const Place &at, const KnownValues::State &state) {
    chosen.erase(at);
    const PtxInstruction *i = ptx.instruction(at.line);
    if (!i || !i->is("selp.b32"))
      return;
    const KnownBits chooses = values.bitsOf(state, i->operands[3]);
    if ((chooses.ones | chooses.zeros) & 1)
      chosen[at] = i->operands[chooses.ones & 1 ? 1 : 2];
  }
  std::vector<Place> waysOf(const Place &at) const {
    if (at.turn != Place::outside) {
      const auto known = ways.find(at);
      return known == ways.end() ? std::vector<Place>() : known->second;
    }
    std::vector<Place> all;
    for (size_t way : waysFrom(ptx, at.line))
      if (way < ptx.lines().size() && ptx.kernel(way) == ptx.kernel(at.line))
        all.push_back({way, Place::outside});
    return all;
  }
  /// What an instruction makes of the changed registers; false where it does more than compute.
  bool follow(const PtxInstruction &i, const Place &at, std::set<std::string> &names) const {
    const auto isChanged = [&](const std::string &operand) {
      return std::ranges::any_of(registersIn(operand),
                                 [&](const std::string &name) { return names.contains(name); });
    };
    if (isChanged(i.guard) || i.operands.empty())
      return !isChanged(i.guard);
    const bool isOne = isSum(i);
    const bool isOfChanged =
        chosen.contains(at) && !isChanged(i.operands[3])
            ? isChanged(chosen.at(at))
            : std::any_of(i.operands.begin() + isOne, i.operands.end(), isChanged);
    if (isOne) {
      if (isOfChanged)
        names.insert(i.operands[0]);
      else
        names.erase(i.operands[0]);
      return true;
    }
    // A load or a product reads what it is not the first operand of, and may write that.
    return !isOfChanged;
  }

  const PtxText &ptx;
  const TileLoop &loop;
  const uint32_t turns;
  const KnownValues &values;
  std::map<Place, KnownValues::State> arrived;
  std::set<Place> open;
  std::map<Place, std::vector<Place>> ways;
  std::map<Place, std::string> chosen; // of a choice that is known
  std::map<uint32_t, KnownValues::State> watchedStates;
};

/// Whether each turn that runs the line computes the same with the change, or nothing reads it.
bool isSame(const PtxText &ptx, const Mutation &mutation, const Turns &turns,
            const KnownValues &values) {
  const PtxInstruction &i = *ptx.instruction(mutation.line);
  const PtxText text(".visible .entry k(\n" + mutation.text + "\n}\n");
  const PtxInstruction *changed = text.instruction(1);
  const bool isNeverTaken = mutation.kind == "guarded code always runs";
  return std::ranges::all_of(turns.states(), [&](const auto &each) {
    const auto &[turn, state] = each;
    if (isNeverTaken || mutation.kind == "predicate dropped") {
      const KnownBits bits = values.bitsOf(state, i.guard.substr(i.guard.find('%')));
      return ((isNeverTaken == (i.guard[1] == '!') ? bits.ones : bits.zeros) & 1) != 0;
    }
    if (!changed || !isSum(i) || !isSum(*changed) || changed->operands[0] != i.operands[0])
      return false;
    const KnownBits was = values.valueOf(state, i);
    const KnownBits is = values.valueOf(state, *changed);
    return (was.isWhole() && was == is) || turns.isUnread(mutation.line, turn);
  });
}

} // namespace

bool isOfNoTurn(const PtxText &ptx, const Mutation &mutation, const ProgramFacts &facts) {
  if (!ptx.kernel(mutation.line).starts_with("position_gradient"))
    return false;
  for (const auto &[line, i] : ptx.instructions()) {
    if (ptx.kernel(line) != ptx.kernel(mutation.line) || !i.is("setp.ge.s32"))
      continue;
    const std::optional<TileLoop> loop = loopAt(ptx, line);
    if (!loop || !loop->lines.contains(mutation.line))
      continue;
    const KnownValues &values = facts.values[0][0]; // nothing assumed
    const std::optional<uint32_t> most = turnsOf(ptx, *loop, facts);
    Turns turns(ptx, *loop, most.value_or(0), values);
    if (most && turns.walk(mutation.line) && isSame(ptx, mutation, turns, values))
      return true;
  }
  return false;
}

} // namespace nysjit::conformance
