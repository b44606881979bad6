// The version of this nysjit.
#pragma once

namespace nysjit::cli {

inline constexpr const char *version = NYSJIT_VERSION;

} // namespace nysjit::cli
