// Appending to the file of results, and reading it.
#include "bench/gpu_day/records.h"

#include <fcntl.h>
#include <fstream>
#include <unistd.h>

namespace nysjit::gpu_day {

using nlohmann::json;

void Records::add(const std::string &kind, json fields) const {
  fields["kind"] = kind;
  fields["step"] = step;
  const std::string line = fields.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  const int file = path.empty()
                       ? STDOUT_FILENO
                       : ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (file < 0 || ::write(file, line.data(), line.size()) != static_cast<ssize_t>(line.size()))
    perror(path.c_str());
  if (!path.empty() && file >= 0)
    ::close(file);
}

void Records::failed(const std::string &what, const Error &error) const {
  add("check", {{"check", "runs"}, {"case", what}, {"passed", false}, {"found", error.message}});
}

Result<std::vector<json>> readRecords(const std::string &path) {
  std::ifstream file(path);
  if (!file)
    return Error::mismatch(ErrorKind::Io, path, "a file of results", "none");
  std::vector<json> records;
  for (std::string line; std::getline(file, line);)
    // a line that was cut off in the middle is left out
    if (json record = json::parse(line, nullptr, /*allow_exceptions=*/false); record.is_object())
      records.push_back(std::move(record));
  return records;
}

} // namespace nysjit::gpu_day
