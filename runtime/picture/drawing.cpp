// Elements of SVG, one a line. They look like those of bench/svg.py.
#include "runtime/picture/drawing.h"

#include <charconv>
#include <cmath>

namespace nysjit::picture {

namespace {

/// ` name='12.5'`
std::string attribute(const char *name, double value) {
  return std::string(" ") + name + "='" + numberText(value) + "'";
}

std::string attribute(const char *name, std::string_view value) {
  return std::string(" ") + name + "='" + std::string(value) + "'";
}

std::string escaped(std::string_view words) {
  std::string text;
  for (const char letter : words)
    text += letter == '&'                  ? "&amp;"
            : letter == '<'                ? "&lt;"
            : letter == '>'                ? "&gt;"
            : letter < ' ' || letter > '~' ? "?"
                                           : std::string(1, letter);
  return text;
}

std::string pointsText(std::span<const Point> points) {
  std::string text;
  for (const Point &point : points)
    text += (text.empty() ? "" : " ") + numberText(point.x) + "," + numberText(point.y);
  return text;
}

std::string strokeText(const LineStyle &style) {
  return attribute("fill", "none") + attribute("stroke", style.stroke) +
         attribute("stroke-width", style.thickness) +
         (style.isDashed ? attribute("stroke-dasharray", "5 4") : "");
}

} // namespace

std::string numberText(double x) {
  if (!std::isfinite(x) || std::abs(x) > 1e9)
    x = 0; // a place in a picture
  char buffer[32];
  const std::to_chars_result end =
      std::to_chars(buffer, buffer + sizeof buffer, x, std::chars_format::fixed, 2);
  std::string text(buffer, end.ptr);
  while (text.ends_with('0'))
    text.pop_back();
  if (text.ends_with('.'))
    text.pop_back();
  return text == "-0" ? "0" : text;
}

void Drawing::text(Point at, std::string_view words, const TextStyle &style) {
  parts += "<text" + attribute("x", at.x) + attribute("y", at.y) +
           attribute("font-size", style.size) + attribute("fill", style.fill) +
           attribute("text-anchor", style.anchor);
  if (style.isBold)
    parts += attribute("font-weight", "bold");
  if (style.isTurned)
    parts +=
        attribute("transform", "rotate(-90 " + numberText(at.x) + " " + numberText(at.y) + ")");
  parts += ">" + escaped(words) + "</text>\n";
}

void Drawing::box(Point corner, double boxWidth, double boxHeight, std::string_view fill) {
  parts += "<rect" + attribute("x", corner.x) + attribute("y", corner.y) +
           attribute("width", boxWidth) + attribute("height", boxHeight) + attribute("fill", fill) +
           attribute("shape-rendering", "crispEdges") + "/>\n";
}

void Drawing::frame(Point corner, double boxWidth, double boxHeight, const LineStyle &style) {
  const double half = style.thickness / 2;
  parts += "<rect" + attribute("x", corner.x + half) + attribute("y", corner.y + half) +
           attribute("width", boxWidth - style.thickness) +
           attribute("height", boxHeight - style.thickness) + strokeText(style) + "/>\n";
}

void Drawing::line(std::span<const Point> points, const LineStyle &style) {
  parts += "<polyline" + attribute("points", pointsText(points)) + strokeText(style) + "/>\n";
}

void Drawing::line(Point from, Point to, const LineStyle &style) {
  const Point both[] = {from, to};
  line(both, style);
}

void Drawing::area(std::span<const Point> points, const char *fill) {
  parts += "<polygon" + attribute("points", pointsText(points)) + attribute("fill", fill) +
           attribute("fill-opacity", 0.25) + "/>\n";
}

void Drawing::mark(Point at, const char *fill) {
  parts += "<circle" + attribute("cx", at.x) + attribute("cy", at.y) + attribute("r", 4.0) +
           attribute("fill", fill) + "/>\n";
}

std::string Drawing::svg() const {
  return "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 " + numberText(width) + " " +
         numberText(height) + "'" + attribute("width", width) + attribute("height", height) +
         " font-family='sans-serif'>\n<rect width='100%' height='100%' fill='white'/>\n" + parts +
         "</svg>\n";
}

} // namespace nysjit::picture
