// A logarithmic axis: where a value is, and which values get a line.
#pragma once
#include <string>
#include <vector>

namespace nysjit::picture {

class LogAxis {
public:
  /// From `least` to `most`, both positive, drawn from `from` to `to` (pixels; `to` may be the
  /// lesser). A little is left beside both.
  LogAxis(double least, double most, double from, double to);
  /// Values outside are at the ends.
  double at(double value) const;
  double least() const { return low; }
  double most() const { return high; }
  /// 1, 2 and 5 times powers of ten; over more than three of these, the powers alone.
  std::vector<double> ticks() const;

private:
  double low;
  double high;
  double from;
  double to;
};

/// Three digits: "0.05", "120", "16000".
std::string shortText(double value);

} // namespace nysjit::picture
