// docs/spec.md, made of the tables that check a spec and a config.
#pragma once
#include <string>

namespace nysjit {

/// The whole page, Markdown.
std::string specPage();

} // namespace nysjit
