// SHA-256 (FIPS 180-4) as 64 hex digits.
#pragma once
#include <string>
#include <string_view>

namespace nysjit {

std::string sha256Hex(std::string_view bytes);

} // namespace nysjit
