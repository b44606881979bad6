// A launch from its first block to its last, and the sentences about what was found.
#include "runtime/emulator/execution.h"

#include <algorithm>
#include <numeric>

namespace nysjit::emulator {

namespace {
constexpr size_t mostReports = 20;
std::string hex(uint64_t value) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
  return text;
}
} // namespace

std::string Code::where(uint32_t pc) const {
  if (pc >= places.size())
    return name + ".ptx";
  const Place &p = places[pc];
  std::string text = name + ".ptx:" + std::to_string(p.line);
  if (p.fileLine && p.file < files.size() && !files[p.file].empty())
    text += " (" + files[p.file] + ":" + std::to_string(p.fileLine) + ")";
  return text;
}

Execution::Execution(const Launch &launch, Memory &memory, const Options &options, const Code &code)
    : launch(launch), memory(memory.state()), options(options), code(code), counts(outcome.counts),
      random(options.seed) {}

std::string Execution::threadName(const Warp &warp, uint32_t lane) const {
  const uint32_t *b = warp.block->id;
  return "block (" + std::to_string(b[0]) + ", " + std::to_string(b[1]) + ", " +
         std::to_string(b[2]) + "), warp " + std::to_string(warp.index) + ", lane " +
         std::to_string(lane);
}

void Execution::fault(Fault fault, const Warp &warp, const std::string &sentence) {
  if (stop)
    return;
  stop = true;
  outcome.fault = fault;
  outcome.report.push_back(sentence + " at " + code.where(warp.pc));
}

void Execution::report(const Warp &warp, const std::string &sentence, bool fails) {
  failed |= fails;
  if (outcome.report.size() < mostReports)
    outcome.report.push_back(sentence + " at " + code.where(warp.pc));
}

void Execution::race(const Warp &warp, const std::string &what, const Collision &collision,
                     uint32_t otherBlock) {
  ++counts.races;
  racing.insert(warp.pc);
  racing.insert(collision.pc);
  if (!said.insert("race " + std::to_string(warp.pc) + " " + std::to_string(collision.pc)).second)
    return;
  std::string other = "warp " + std::to_string(collision.warp);
  if (otherBlock && otherBlock != warp.block->number)
    other = otherBlock == manyBlocks ? "another block" : "another block's warp";
  else if (collision.warp == warp.index)
    other = "the same warp";
  std::string why = collision.inFlight
                        ? other + " has an asynchronous copy to it in flight, not waited for"
                        : other + (collision.wasWrite ? " wrote it" : " read it") +
                              ", and nothing orders the two";
  report(warp,
         "race: block " + std::to_string(warp.block->number - 1) + ", warp " +
             std::to_string(warp.index) + " " + what + "; " + why +
             " (there: " + code.where(collision.pc) + ")",
         false);
}

void Execution::uninitialised(const Warp &warp, uint32_t lane, const char *space, uint64_t address,
                              uint32_t bytes) {
  unwritten.insert(warp.pc);
  if (said.insert("uninitialised " + std::to_string(warp.pc)).second)
    report(warp,
           "uninitialised: " + threadName(warp, lane) + " reads " + std::to_string(bytes) +
               " bytes of " + space + " memory at " + hex(address) +
               ", not all of which were ever written",
           false);
}

void Execution::run() {
  ++memory.launch;
  memory.touched.clear();
  uint64_t blocks = uint64_t(launch.grid[0]) * launch.grid[1] * launch.grid[2];
  uint64_t next = 0;
  if (blocks >= uint64_t(1) << 31) {
    outcome.fault = Fault::Failed;
    outcome.report.push_back("launch: expected fewer than 2^31 blocks, found " +
                             std::to_string(blocks));
    return;
  }
  // Any order of blocks is legal; of very many, the natural one.
  std::vector<uint32_t> order(blocks < 1 << 24 ? blocks : 0);
  std::iota(order.begin(), order.end(), 0u);
  for (uint64_t b = order.size(); b > 1; --b)
    std::swap(order[b - 1], order[random.below(uint32_t(b))]);
  // One block at a time. Where one does not end for long, it may wait for another: then more take
  // turns.
  constexpr uint64_t slice = 1 << 16;
  std::vector<std::unique_ptr<Block>> resident;
  size_t limit = 1;
  uint64_t slices = 0;
  while (!stop && (next < blocks || !resident.empty())) {
    if (next < blocks && resident.size() < limit) {
      uint32_t at = order.empty() ? uint32_t(next) : order[next];
      ++next;
      uint32_t id[3] = {at % launch.grid[0], at / launch.grid[0] % launch.grid[1],
                        at / launch.grid[0] / launch.grid[1]};
      resident.push_back(std::make_unique<Block>(*this, at + 1, id));
    }
    size_t which = random.below(uint32_t(resident.size()));
    resident[which]->run(slice);
    if (!stop && resident[which]->finished()) {
      resident.erase(resident.begin() + int64_t(which));
      slices = 0;
    } else if (++slices == 64) {
      limit = std::min<size_t>(limit * 2, 1024);
      slices = 0;
    }
  }
  // A read that came before the write it races with is the race's fault, whatever the order was
  // this time.
  for (uint32_t pc : unwritten)
    failed |= !racing.count(pc);
  if (outcome.fault == Fault::None && failed)
    outcome.fault = Fault::Failed;
  countSectors();
}

void Execution::countSectors() {
  for (const ShadowPage *page : memory.touched)
    for (int half = 0; half < 2; ++half)
      counts.globalSectors += __builtin_popcountll(page->readSectors[half]) +
                              __builtin_popcountll(page->writtenSectors[half]);
}

} // namespace nysjit::emulator
