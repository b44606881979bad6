// The key table of KernelConfig as data: one row a key of a kernel's object.
#pragma once
#include "runtime/spec/block_config.h"

#include <span>

namespace nysjit {

struct ConfigRow {
  const char *name;
  int minimum;
  int maximum; // ends included
  bool isPowerOfTwo;
  std::optional<int> BlockConfig::*member;
  const char *meaning; // a sentence, for docs/spec.md
  bool mayBeZero = false;
  bool isTargets = false; // a target takes it for all kernels; templates neither have nor lack it
};

std::span<const ConfigRow> configTable();

} // namespace nysjit
