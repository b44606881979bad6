// The checksum at a bundle's end: XXH3-128 of what is before it.
#pragma once
#include <memory>
#include <string>
#include <string_view>

namespace nysjit {

class BundleChecksum {
public:
  BundleChecksum();
  ~BundleChecksum();
  BundleChecksum(const BundleChecksum &) = delete;
  BundleChecksum &operator=(const BundleChecksum &) = delete;
  void add(std::string_view bytes);
  /// bundleChecksumBytes.
  std::string bytes() const;

private:
  struct State;
  std::unique_ptr<State> state;
};

} // namespace nysjit
