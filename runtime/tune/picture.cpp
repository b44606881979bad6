// Heat maps side by side, a row of them for each spec.
#include "runtime/tune/picture.h"
#include "runtime/base/format.h"
#include "runtime/picture/drawing.h"
#include "runtime/tune/report.h"

#include <algorithm>
#include <cmath>

namespace nysjit::tune {

namespace {

using picture::Drawing;
using picture::Point;

constexpr double cellWidth = 62;
constexpr double cellHeight = 36;
constexpr double left = 24;
constexpr double rowNames = 44;   // beside a map
constexpr double gap = 40;        // between maps
constexpr double aboveCells = 62; // of a spec: its lines, the maps' and the columns' names
constexpr double belowCells = 40;
constexpr double titleHeight = 56;
constexpr double leastWidth = 760;

/// A kernel's map in the order in which it is drawn.
struct Named {
  std::string kernel;
  HeatMap map;
  double width() const { return rowNames + cellWidth * double(map.columns.size()); }
};

std::vector<Named> mapsOf(const SpecReport &spec) {
  std::vector<Named> maps;
  for (const GroupReport &group : spec.groups)
    for (const auto &[kernel, block] : group.group.defaults)
      if (std::optional<HeatMap> map = heatMapOf(group, kernel))
        maps.push_back({kernel, std::move(*map)});
  return maps;
}

double widthOf(const std::vector<Named> &maps) {
  double width = 2 * left;
  for (const Named &one : maps)
    width += one.width() + gap;
  return width;
}

double heightOf(const std::vector<Named> &maps) {
  size_t rows = 0;
  for (const Named &one : maps)
    rows = std::max(rows, one.map.rows.size());
  return aboveCells + cellHeight * double(rows) + belowCells;
}

/// White at 1, blue at half the default's time, orange at twice it; beyond, the same.
std::string colourOf(double ratio) {
  constexpr int blue[] = {0x4a, 0x90, 0xce};
  constexpr int orange[] = {0xf0, 0x8c, 0x32};
  const double octaves = std::clamp(std::log2(ratio), -1.0, 1.0);
  const int *end = octaves < 0 ? blue : orange;
  const auto mixed = [&](int i) {
    return int(std::lround(255 + std::abs(octaves) * (end[i] - 255)));
  };
  return format("#%02x%02x%02x", unsigned(mixed(0)), unsigned(mixed(1)), unsigned(mixed(2)));
}

void drawCell(Drawing &drawing, Point corner, const HeatMap &map, HeatMap::Cell cell) {
  const auto ratio = map.ratios.find(cell);
  const Point middle{corner.x + cellWidth / 2, corner.y + cellHeight / 2 + 4};
  if (ratio == map.ratios.end()) {
    drawing.text(middle, ".", {.fill = picture::grey, .anchor = "middle"});
    return;
  }
  const bool isChosen = cell == map.chosen;
  drawing.box(corner, cellWidth, cellHeight, colourOf(ratio->second));
  drawing.text(middle, format("%.3f", ratio->second), {.anchor = "middle", .isBold = isChosen});
  if (cell == map.ofDefault)
    drawing.frame(corner, cellWidth, cellHeight,
                  {.stroke = picture::ink, .thickness = 2, .isDashed = true});
  if (isChosen)
    drawing.frame(corner, cellWidth, cellHeight, {.stroke = picture::ink, .thickness = 3});
}

/// Its names of rows and columns, and its cells; `at`: the upper left corner of all.
void drawMap(Drawing &drawing, Point at, const Named &named) {
  const double cells = at.x + rowNames;
  drawing.text(at, named.kernel, {.isBold = true});
  drawing.text({at.x, at.y + 20}, "m \\ n", {.size = 11, .fill = picture::grey});
  double y = at.y + 26;
  for (const int m : named.map.rows) {
    drawing.text({cells - 6, y + cellHeight / 2 + 4}, std::to_string(m),
                 {.size = 11, .fill = picture::grey, .anchor = "end"});
    double x = cells;
    for (const int n : named.map.columns) {
      if (m == *named.map.rows.begin())
        drawing.text({x + cellWidth / 2, at.y + 20}, std::to_string(n),
                     {.size = 11, .fill = picture::grey, .anchor = "middle"});
      drawCell(drawing, {x, y}, named.map, {m, n});
      x += cellWidth;
    }
    y += cellHeight;
  }
}

std::string lineOf(const SpecReport &spec) {
  std::string text = specTitle(spec.spec) + " for " + placeText(spec.entry);
  if (spec.entry.config == KernelConfig())
    return text + ": the default stands";
  return text + ": faster than the default" +
         (spec.verdict ? format(", %.3f of its time", spec.verdict->ratio) : "");
}

} // namespace

std::string pictureOf(const TuneReport &report) {
  double width = leastWidth;
  double height = titleHeight;
  for (const SpecReport &spec : report.specs) {
    width = std::max(width, widthOf(mapsOf(spec)));
    height += heightOf(mapsOf(spec));
  }
  Drawing drawing(width, height);
  drawing.text({left, 28}, "Time over the default's, by block_m (down) and block_n (across)",
               {.size = 17, .isBold = true});
  drawing.text({left, 48}, "dashed frame: the default; thick frame, bold: chosen; a dot: not timed",
               {.size = 11, .fill = picture::grey});
  double y = titleHeight;
  for (const SpecReport &spec : report.specs) {
    const std::vector<Named> maps = mapsOf(spec);
    drawing.text({left, y + 20}, lineOf(spec), {.size = 14});
    double x = left;
    for (const Named &one : maps) {
      drawMap(drawing, {x, y + 46}, one);
      x += one.width() + gap;
    }
    y += heightOf(maps);
  }
  return drawing.svg();
}

} // namespace nysjit::tune
