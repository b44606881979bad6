// Key text and hash.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "runtime/cache/entry.h"
#include "runtime/cache/key.h"

#include <algorithm>

namespace nysjit {

std::string hashHex(std::string_view bytes) {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (const XXH64_hash_t half : {hash.high64, hash.low64})
    for (int shift = 60; shift >= 0; shift -= 4)
      text += digits[(half >> shift) & 15];
  return text;
}

ProgramKey programKey(const ProgramRequest &request, const CpuIdentity &cpu,
                      const ProgramMaker &maker) {
  const Target &target = request.target;
  ProgramKey key;
  key.request = "spec " + request.specJson + "\nconfig " + request.configJson + "\ntarget " +
                targetName(target) + "\n";
  if (!target.isCuda() && target.level == CpuLevel::Native)
    key.request += "cpu " + describe(cpu) + "\n";
  key.maker = "format " + std::to_string(entryFormat) + "\ncompiler " + maker.compiler + "\nllvm " +
              maker.llvm + "\n";
  if (target.isCuda())
    key.maker += "assembler " + maker.assembler + "\n";
  key.text = key.request + key.maker;
  key.hash = hashHex(key.text);
  return key;
}

std::string requestOf(const std::string &keyText) {
  const size_t end = keyText.find("\nformat ");
  return end == std::string::npos ? keyText : keyText.substr(0, end + 1);
}

std::vector<std::pair<std::string, std::string>> keyTextLines(const std::string &keyText) {
  std::vector<std::pair<std::string, std::string>> lines;
  for (size_t start = 0; start < keyText.size();) {
    const size_t end = std::min(keyText.find('\n', start), keyText.size());
    const std::string line = keyText.substr(start, end - start);
    const size_t space = std::min(line.find(' '), line.size());
    lines.emplace_back(line.substr(0, space), line.substr(std::min(space + 1, line.size())));
    start = end + 1;
  }
  return lines;
}

std::string keyTextLine(const std::string &keyText, const std::string &word) {
  for (auto &[first, rest] : keyTextLines(keyText))
    if (first == word)
      return rest;
  return "";
}

} // namespace nysjit
