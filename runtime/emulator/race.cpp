// Shared memory's shadow.
#include "runtime/emulator/race.h"

namespace nysjit::emulator {

void SharedShadow::Plane::resize(uint32_t count, uint32_t warps) {
  cells = count;
  writers.assign(count, 0);
  writerPcs.assign(count, 0);
  readPcs.assign(count, 0);
  reads.assign(size_t(count) * warps, 0);
}

SharedShadow::SharedShadow(uint32_t bytes, uint32_t warps)
    : warps(warps), bytes((bytes + 3) / 4 * 4) {
  words.resize(this->bytes / 4, warps);
}

void SharedShadow::split(uint32_t granule) {
  if (splits.empty()) {
    splits.assign(words.cells, 0);
    single.resize(bytes, warps);
  }
  if (splits[granule])
    return;
  splits[granule] = 1;
  for (uint32_t b = 4 * granule; b < 4 * granule + 4; ++b) {
    single.writers[b] = words.writers[granule];
    single.writerPcs[b] = words.writerPcs[granule];
    single.readPcs[b] = words.readPcs[granule];
    for (uint32_t v = 0; v < warps; ++v)
      single.reads[size_t(v) * single.cells + b] = words.reads[size_t(v) * words.cells + granule];
  }
}

/// The common case: plain reads of whole words that were written before. True if all is well.
template <uint32_t count>
bool SharedShadow::readCells(Plane &plane, uint32_t first, const Actor &actor) {
  const uint32_t *writers = plane.writers.data() + first;
  bool ordered = true;
  for (uint32_t c = 0; c < count; ++c)
    ordered &= writerTime(writers[c]) <= actor.known[writerWarp(writers[c])];
  if (!ordered)
    return false;
  uint32_t *reads = plane.reads.data() + size_t(actor.warp) * plane.cells + first;
  uint32_t *pcs = plane.readPcs.data() + first;
  for (uint32_t c = 0; c < count; ++c)
    reads[c] = actor.now, pcs[c] = actor.pc;
  return true;
}

Collision SharedShadow::touchCells(Plane &plane, uint32_t first, uint32_t count, Touch touch,
                                   const Actor &actor) {
  Collision collision;
  bool strong = touch == Touch::StrongRead || touch == Touch::StrongWrite;
  bool writes = touch != Touch::Read && touch != Touch::StrongRead;
  for (uint32_t c = first; c < first + count; ++c) {
    uint32_t writer = plane.writers[c];
    if (writerTime(writer) > actor.known[writerWarp(writer)] && !(strong && writerAtomic(writer)) &&
        !collision.found)
      collision = {true, true, writerTime(writer) == inFlightTime, writerWarp(writer),
                   plane.writerPcs[c]};
    if (writes) {
      for (uint32_t v = 0; v < warps; ++v)
        if (plane.reads[size_t(v) * plane.cells + c] > actor.known[v] && !collision.found)
          collision = {true, false, false, v, plane.readPcs[c]};
      plane.writers[c] =
          packWriter(touch == Touch::Copy ? inFlightTime : actor.now, actor.warp, strong);
      plane.writerPcs[c] = actor.pc;
    } else if (!strong) {
      plane.reads[size_t(actor.warp) * plane.cells + c] = actor.now;
      plane.readPcs[c] = actor.pc;
    }
  }
  return collision;
}

Collision SharedShadow::touch(uint32_t offset, uint32_t count, Touch touch, const Actor &actor) {
  if (count < 4) {
    split(offset / 4);
    return touchCells(single, offset, count, touch, actor);
  }
  uint32_t first = offset / 4;
  uint32_t granules = count / 4;
  bool anySplit = false;
  if (!splits.empty())
    for (uint32_t g = first; g < first + granules; ++g)
      anySplit |= splits[g];
  if (!anySplit) {
    if (touch == Touch::Read && (granules == 1   ? readCells<1>(words, first, actor)
                                 : granules == 2 ? readCells<2>(words, first, actor)
                                 : granules == 4 ? readCells<4>(words, first, actor)
                                                 : false))
      return {};
    return touchCells(words, first, granules, touch, actor);
  }
  Collision collision;
  for (uint32_t g = first; g < first + granules; ++g) {
    Collision here = splits[g] ? touchCells(single, 4 * g, 4, touch, actor)
                               : touchCells(words, g, 1, touch, actor);
    if (here.found && !collision.found)
      collision = here;
  }
  return collision;
}

void SharedShadow::land(uint32_t offset, uint32_t count, const Actor &actor) {
  uint32_t flying = packWriter(inFlightTime, actor.warp, false);
  uint32_t landed = packWriter(actor.now, actor.warp, false);
  for (uint32_t g = offset / 4; g < (offset + count + 3) / 4; ++g) {
    if (!splits.empty() && splits[g]) {
      for (uint32_t b = 4 * g; b < 4 * g + 4; ++b)
        if (single.writers[b] == flying)
          single.writers[b] = landed;
    } else if (words.writers[g] == flying) {
      words.writers[g] = landed;
    }
  }
}

} // namespace nysjit::emulator
