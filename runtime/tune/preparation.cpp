// A program that fails is taken apart: each of its candidates gets one of its own.
#include "runtime/tune/preparation.h"
#include "runtime/base/format.h"

#include <algorithm>

namespace nysjit::tune {

Result<std::vector<Arm>> Preparation::prepare(const std::vector<size_t> &candidates) {
  const std::vector<KernelConfig> offered = measuring.lab.offered();
  std::vector<size_t> fitting = candidates;
  NYSJIT_RETURN_IF_ERROR(leaveOutIdle(fitting));
  if (offered.empty())
    NYSJIT_RETURN_IF_ERROR(leaveOutTooLarge(fitting));
  for (Packed &packed : offered.empty() ? pack(space, fitting) : pick(space, fitting, offered))
    open.push_back(std::move(packed));
  std::vector<KernelConfig> configs;
  for (const Packed &packed : open)
    configs.push_back(packed.config);
  measuring.progress.update("[compile 0/" + std::to_string(open.size()) + "] " + measuring.name,
                            measuring.lab.seconds());
  measuring.lab.compileAhead(configs);
  const double start = measuring.lab.seconds();
  size_t number = 0;
  while (!open.empty()) {
    NYSJIT_RETURN_IF_ERROR(goOn(measuring));
    const double now = measuring.lab.seconds();
    std::string text = "[compile " + std::to_string(number + 1) + "/" +
                       std::to_string(number + open.size()) + "] " + measuring.name;
    if (number > 0)
      text += ", " + minutes(now) + ", " +
              minutes((now - start) / double(number) * double(open.size())) + " left to compile";
    measuring.progress.update(text, now);
    ++number;
    const Packed packed = std::move(open.front());
    open.pop_front();
    NYSJIT_RETURN_IF_ERROR(prepareOne(packed));
  }
  return std::move(arms);
}

/// Kernels that these shapes do not launch have no time.
Status Preparation::leaveOutIdle(std::vector<size_t> &candidates) {
  std::vector<size_t> left;
  std::vector<size_t> out;
  for (const size_t index : candidates) {
    Candidate &candidate = space.candidates[index];
    const bool runs =
        std::ranges::any_of(space.groups[candidate.group].kernels, [&](const std::string &kernel) {
          return measuring.launched.contains(kernel);
        });
    (runs ? left : out).push_back(index);
    if (runs)
      continue;
    candidate.invalidity = "constraints";
    candidate.reason = "it is not launched at these shapes";
  }
  candidates = std::move(left);
  return journalCandidates(out);
}

/// What a GPU's block has not the memory for is known from its plan, which is no work.
Status Preparation::leaveOutTooLarge(std::vector<size_t> &candidates) {
  if (!place.target.starts_with("cuda:"))
    return {};
  std::vector<size_t> left;
  std::vector<size_t> out;
  for (const size_t index : candidates) {
    NYSJIT_RETURN_IF_ERROR(goOn(measuring));
    Candidate &candidate = space.candidates[index];
    const Result<Plan> plan = measuring.lab.plan(configWith(space, {&candidate}));
    (plan ? left : out).push_back(index);
    if (plan)
      continue;
    candidate.invalidity = "constraints";
    candidate.reason = plan.error().message;
  }
  candidates = std::move(left);
  return journalCandidates(out);
}

Status Preparation::prepareOne(const Packed &packed) {
  Result<Compiled> compiled = measuring.lab.compile(packed.config);
  if (!compiled) {
    NYSJIT_RETURN_IF_ERROR(goOn(measuring));
    const bool isLate = compiled.error().kind == ErrorKind::Cancelled;
    return failed(packed, isLate ? "timeout" : "compile", compiled.error().message);
  }
  Arm arm{compiled->number, {}};
  for (const size_t index : packed.candidates) {
    Candidate &candidate = space.candidates[index];
    candidate.compileMs = compiled->ms;
    if (!isTooLarge(candidate, *compiled))
      arm.candidates.push_back(index);
  }
  if (!arm.candidates.empty()) {
    const double start = measuring.lab.seconds();
    Result<std::string> wrong = whatIsWrong(arm.program);
    for (const size_t index : packed.candidates)
      space.candidates[index].checkMs = (measuring.lab.seconds() - start) * 1e3;
    if (!wrong || !wrong->empty()) {
      measuring.lab.release(arm.program);
      NYSJIT_RETURN_IF_ERROR(goOn(measuring));
      if (!wrong)
        NYSJIT_RETURN_IF_ERROR(endIfLost(packed, wrong.error().message));
      return failed(packed, wrong ? "correctness" : "runtime",
                    wrong ? *wrong : wrong.error().message);
    }
  }
  if (arm.candidates.empty())
    measuring.lab.release(arm.program);
  else
    arms.push_back(std::move(arm));
  return journalCandidates(packed.candidates);
}

/// What is run after a fault fails whatever it is: the tune ends, and of the candidates that were
/// to blame one that was alone is known.
Status Preparation::endIfLost(const Packed &packed, const std::string &reason) {
  if (measuring.lab.usable())
    return {};
  if (packed.candidates.size() == 1)
    NYSJIT_RETURN_IF_ERROR(failed(packed, "runtime", reason));
  std::string names;
  for (const size_t index : packed.candidates)
    names += (names.empty() ? "" : " or ") + space.groups[space.candidates[index].group].name +
             " " + blocksText(space.candidates[index].blocks);
  return Error::plain(ErrorKind::Unavailable, "device",
                      "device: it can do nothing more since " + names + " ran: " + reason +
                          "; --resume goes on, with `parameters` that leave it out");
}

/// Of several candidates one is at fault, or more.
Status Preparation::failed(const Packed &packed, const std::string &invalidity,
                           const std::string &reason) {
  if (packed.candidates.size() > 1) {
    for (const size_t index : packed.candidates)
      open.push_back({configWith(space, {&space.candidates[index]}), {index}});
    return {};
  }
  Candidate &candidate = space.candidates[packed.candidates.front()];
  candidate.invalidity = invalidity;
  candidate.reason = reason;
  if (invalidity == "correctness")
    measuring.progress.say(space.groups[candidate.group].name + " " + blocksText(candidate.blocks) +
                           ": " + reason);
  return journalCandidates(packed.candidates);
}

/// Scratch beyond the L2 loses everywhere; and is not worth a run.
bool Preparation::isTooLarge(Candidate &candidate, const Compiled &compiled) const {
  for (const std::string &kernel : space.groups[candidate.group].kernels)
    if (const auto own = compiled.kernels.find(kernel); own != compiled.kernels.end())
      candidate.resources = most(candidate.resources, own->second);
  const int64_t bytes = candidate.resources.scratchBytes;
  if (place.l2Bytes == 0 || bytes <= place.l2Bytes)
    return false;
  candidate.invalidity = "constraints";
  candidate.reason = "scratch of " + std::to_string(bytes) + " bytes, over the " +
                     std::to_string(place.l2Bytes) + " of the L2";
  return true;
}

Result<std::string> Preparation::whatIsWrong(size_t program) {
  if (!measuring.file.check) {
    NYSJIT_RETURN_IF_ERROR(measuring.lab.run(program, 0)); // that it runs
    return std::string();
  }
  Result<Difference> difference = measuring.lab.difference(program, measuring.defaultProgram);
  NYSJIT_RETURN_IF_ERROR(difference);
  if (difference->isWithin())
    return std::string();
  return format("its output differs from the default's by %.3g, more than the bound %.3g",
                difference->error, difference->bound);
}

Status Preparation::journalCandidates(const std::vector<size_t> &candidates) {
  if (candidates.empty())
    return {};
  std::vector<Json> lines;
  for (const size_t index : candidates) {
    const Candidate &candidate = space.candidates[index];
    const bool isGood = candidate.invalidity.empty();
    Json line = {{"kind", "candidate"},
                 {"id", candidate.id},
                 {"group", space.groups[candidate.group].name},
                 {"config", blocksObject(candidate.blocks)},
                 {"invalidity", isGood ? "correct" : candidate.invalidity},
                 {"compile_ms", candidate.compileMs},
                 {"check_ms", candidate.checkMs},
                 {"resources", resourcesObject(candidate.resources)}};
    if (!isGood)
      line["reason"] = candidate.reason;
    lines.push_back(std::move(line));
  }
  return journal.append(lines);
}

} // namespace nysjit::tune
