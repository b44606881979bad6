// Logarithms of base ten.
#include "runtime/picture/log_axis.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace nysjit::picture {

namespace {
constexpr double margin = 1.15; // of the values, on either side
}

LogAxis::LogAxis(double least, double most, double from, double to)
    : low(least / margin), high(most * margin), from(from), to(to) {}

double LogAxis::at(double value) const {
  const double share = std::log(std::clamp(value, low, high) / low) / std::log(high / low);
  return from + share * (to - from);
}

std::vector<double> LogAxis::ticks() const {
  const bool isWide = high / low > 1e3;
  std::vector<double> values;
  for (int power = int(std::floor(std::log10(low))); power <= int(std::ceil(std::log10(high)));
       ++power)
    for (const double digit : {1.0, 2.0, 5.0})
      if (const double value = digit * std::pow(10, power);
          value >= low && value <= high && (digit == 1 || !isWide))
        values.push_back(value);
  return values;
}

std::string shortText(double value) {
  char buffer[32];
  const bool isLong = std::abs(value) >= 1e3 && std::abs(value) < 1e9; // no exponent
  const std::to_chars_result end =
      isLong ? std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed, 0)
             : std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::general, 3);
  return {buffer, end.ptr};
}

} // namespace nysjit::picture
