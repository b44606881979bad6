// Entries of configs.json that another build of the compiler won on this machine: what is to be
// tuned again, as the TUNE.json that it would be.
#pragma once
#include "runtime/configs/configs_file.h"
#include "runtime/tune/lab.h"
#include "runtime/tune/tune_file.h"

#include <functional>
#include <string>
#include <vector>

namespace nysjit::tune {

/// An entry's spec, target, threads and shapes (`tuned.shapes`); the rest are TUNE.json's defaults.
struct StalePart {
  TunedConfig entry;
  TuneFile file;
};

/// An entry that should be tuned again and cannot be; a sentence.
struct StaleLeft {
  TunedConfig entry;
  std::string why;
};

struct StaleConfigs {
  std::vector<StalePart> parts; // in the order of their keys
  std::vector<StaleLeft> left;
  size_t current = 0;   // specs that have an entry of this build
  size_t elsewhere = 0; // entries of other machines and devices
};

/// Where a file's one spec would be tuned: Lab::place.
using PlaceMaker = std::function<Result<Place>(const TuneFile &file)>;

/// `device`: cpu, cuda or ptx-emulator; entries of the others are elsewhere's. Of several stale
/// entries for one thing the newest counts. An error of `placeOf` is returned for the CPU's
/// targets that run here; for others it is why an entry is left.
Result<StaleConfigs> findStale(const ConfigsFile &configs, const std::string &device,
                               const PlaceMaker &placeOf);

} // namespace nysjit::tune
