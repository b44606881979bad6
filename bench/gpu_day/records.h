// Records: what steps found out, a JSON object a line, each written as soon as it is known.
//   kind  by it the report knows the rest: "device", "check", "rate", "time", "sdpa", "launch",
//         "sweep", "note", "begin" (of what follows, to name what hangs), "step" (how one ended)
//   step  which step wrote it
#pragma once
#include "runtime/base/result.h"

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace nysjit::gpu_day {

class Records {
public:
  /// Appends to `path`; "" is standard output.
  Records(std::string path, std::string step) : path(std::move(path)), step(std::move(step)) {}
  /// One write call, so that what is there is whole whatever happens next.
  void add(const std::string &kind, nlohmann::json fields) const;
  /// What a step could not do, in words.
  void failed(const std::string &what, const Error &error) const;

private:
  std::string path;
  std::string step;
};

/// All whole lines of a file. Io if there is none.
Result<std::vector<nlohmann::json>> readRecords(const std::string &path);

} // namespace nysjit::gpu_day
