// spec_page: docs/spec.md on standard output.
#include "tests/spec/spec_page.h"

#include <cstdio>

int main() {
  const std::string page = nysjit::specPage();
  return std::fwrite(page.data(), 1, page.size(), stdout) == page.size() ? 0 : 1;
}
