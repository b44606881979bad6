// A picture as one self-contained .svg, written as it is drawn, on white. Lengths are pixels from
// the upper left corner. The same calls give the same bytes; what they give is XML whatever the
// words are.
#pragma once
#include <span>
#include <string>
#include <string_view>

namespace nysjit::picture {

// The house's colours.
inline constexpr const char *blue = "#4a90ce";
inline constexpr const char *orange = "#f08c32";
inline constexpr const char *ink = "#222";
inline constexpr const char *grey = "#555";
inline constexpr const char *paleGrey = "#e2e5e8"; // lines of a grid

struct Point {
  double x = 0;
  double y = 0;
};

struct TextStyle {
  double size = 13;
  const char *fill = ink;
  const char *anchor = "start"; // "middle", "end"
  bool isBold = false;
  bool isTurned = false; // reads upwards
};

struct LineStyle {
  const char *stroke = grey;
  double thickness = 1;
  bool isDashed = false;
};

/// A number with at most two decimals, whatever the locale: "12.5".
std::string numberText(double x);

class Drawing {
public:
  Drawing(double width, double height) : width(width), height(height) {}

  /// What is not printable ASCII is a question mark.
  void text(Point at, std::string_view words, const TextStyle &style = {});
  void box(Point corner, double boxWidth, double boxHeight, std::string_view fill);
  /// A box's border alone, inside it.
  void frame(Point corner, double boxWidth, double boxHeight, const LineStyle &style);
  void line(std::span<const Point> points, const LineStyle &style = {});
  void line(Point from, Point to, const LineStyle &style = {});
  /// What the points enclose, half transparent.
  void area(std::span<const Point> points, const char *fill);
  void mark(Point at, const char *fill);

  /// The whole file.
  std::string svg() const;

private:
  double width;
  double height;
  std::string parts;
};

} // namespace nysjit::picture
