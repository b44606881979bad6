// Cache keys. The key text says all that a program's binary depends on; the key is its 128-bit hash
// and names the entry.
#pragma once
#include "runtime/base/result.h"
#include "runtime/device/cpu_identity.h"
#include "runtime/spec/request.h"

#include <string>
#include <string_view>

namespace nysjit {

/// XXH3-128 as 32 hex digits.
std::string hashHex(std::string_view bytes);

/// One line a fact: format, spec, config, target, the CPU for a native target, the assembler for a
/// GPU, the compiler's build id.
std::string cacheKeyText(const ProgramRequest &request, const CpuIdentity &cpu,
                         const std::string &compilerId, const std::string &assemblerId = "none");

/// What tells one build of an executable from another, without running it: its ELF build id, else a
/// hash of the file.
Result<std::string> buildId(const std::string &path);

/// The same for a program that may be large and without a build id, as ptxas is: a hash of its size
/// and time, of its build id if it has one, and of all of it if it is as short as a script.
Result<std::string> toolIdentity(const std::string &path);

} // namespace nysjit
