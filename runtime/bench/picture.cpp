// Two panels and a legend.
#include "runtime/bench/picture.h"
#include "runtime/picture/drawing.h"
#include "runtime/picture/log_axis.h"

#include <algorithm>

namespace nysjit::bench {

namespace {

using picture::Drawing;
using picture::LogAxis;
using picture::Point;
using picture::shortText;

constexpr double panelWidth = 420;
constexpr double panelHeight = 320;
constexpr double top = 64;
constexpr double bottom = top + panelHeight;
constexpr double firstLeft = 72;
constexpr double secondLeft = firstLeft + panelWidth + 96;
constexpr const char *colours[] = {picture::blue, picture::orange};

/// What a panel is drawn in.
struct Panel {
  double left;
  LogAxis x;
  LogAxis y;
  Point at(double across, double up) const { return {x.at(across), y.at(up)}; }
};

struct Range {
  double least = 1e300;
  double most = 0;
  void add(double value) {
    least = std::min(least, value);
    most = std::max(most, value);
  }
};

Panel panelOf(double left, const Range &x, const Range &y) {
  return {left, LogAxis(x.least, x.most, left, left + panelWidth),
          LogAxis(y.least, y.most, bottom, top)};
}

/// Its lines, with the values of x given as far as there is room, and what they are.
void drawGrid(Drawing &drawing, const Panel &panel, const std::vector<double> &across,
              const std::string &xName, const std::string &yName) {
  const double right = panel.left + panelWidth;
  for (const double value : panel.y.ticks()) {
    const double y = panel.y.at(value);
    drawing.line({panel.left, y}, {right, y}, {.stroke = picture::paleGrey});
    drawing.text({panel.left - 8, y + 4}, shortText(value),
                 {.size = 11, .fill = picture::grey, .anchor = "end"});
  }
  constexpr double widthOfNumber = 44;
  double last = -widthOfNumber;
  for (const double value : across) {
    const double x = panel.x.at(value);
    if (x - last < widthOfNumber)
      continue;
    last = x;
    drawing.line({x, top}, {x, bottom}, {.stroke = picture::paleGrey});
    drawing.text({x, bottom + 17}, shortText(value),
                 {.size = 11, .fill = picture::grey, .anchor = "middle"});
  }
  drawing.line({panel.left, bottom}, {right, bottom});
  drawing.line({panel.left, top}, {panel.left, bottom});
  drawing.text({panel.left + panelWidth / 2, bottom + 38}, xName, {.anchor = "middle"});
  drawing.text({panel.left - 48, top + panelHeight / 2}, yName,
               {.anchor = "middle", .isTurned = true});
}

double positionsOf(const SizeReport &size) { return double(size.shape.length); }

/// Time over positions.
void drawTimes(Drawing &drawing, const BenchReport &report) {
  Range lengths;
  Range times;
  std::vector<double> ticks;
  for (const SizeReport &size : report.sizes) {
    lengths.add(positionsOf(size));
    ticks.push_back(positionsOf(size));
    for (const Measured &one : size.contenders) {
      times.add(one.quartiles.low);
      times.add(one.quartiles.high);
      if (report.rates)
        times.add(roofOf(one.work, *report.rates).ms);
    }
  }
  const Panel panel = panelOf(firstLeft, lengths, times);
  drawGrid(drawing, panel, ticks, "n (positions)", "ms");
  for (size_t i = 0; i < report.contenders.size(); ++i) {
    std::vector<Point> band;
    std::vector<Point> medians;
    std::vector<Point> roof;
    for (const SizeReport &size : report.sizes) {
      const Measured &one = size.contenders[i];
      band.push_back(panel.at(positionsOf(size), one.quartiles.low));
      medians.push_back(panel.at(positionsOf(size), one.ms));
      if (report.rates)
        roof.push_back(panel.at(positionsOf(size), roofOf(one.work, *report.rates).ms));
    }
    for (auto size = report.sizes.rbegin(); size != report.sizes.rend(); ++size)
      band.push_back(panel.at(positionsOf(*size), size->contenders[i].quartiles.high));
    drawing.area(band, colours[i]);
    drawing.line(medians, {.stroke = colours[i], .thickness = 2});
    for (const Point &median : medians)
      drawing.mark(median, colours[i]);
    if (report.rates)
      drawing.line(roof, {.stroke = colours[i], .isDashed = true});
  }
}

/// GFLOP/s over operations a byte.
void drawRoofline(Drawing &drawing, const BenchReport &report) {
  const Rates &rates = *report.rates;
  const double ridge = rates.productGflopS / rates.copyGbS; // where the roof is flat from
  Range intensities;
  Range speeds;
  intensities.add(ridge);
  speeds.add(rates.productGflopS);
  for (const SizeReport &size : report.sizes)
    for (const Measured &one : size.contenders) {
      intensities.add(one.work.flops / one.work.bytes);
      speeds.add(one.gflopS());
    }
  speeds.add(std::min(intensities.least * rates.copyGbS, rates.productGflopS));
  const Panel panel = panelOf(secondLeft, intensities, speeds);
  drawGrid(drawing, panel, panel.x.ticks(), "operations a byte", "GFLOP/s");
  const double least = std::max(panel.x.least(), panel.y.least() / rates.copyGbS);
  const Point roof[] = {panel.at(least, least * rates.copyGbS),
                        panel.at(ridge, rates.productGflopS),
                        panel.at(panel.x.most(), rates.productGflopS)};
  drawing.line(roof, {.stroke = picture::ink, .thickness = 2});
  drawing.text({panel.left + panelWidth - 6, panel.y.at(rates.productGflopS) - 7},
               "products " + shortText(rates.productGflopS) + " GFLOP/s, copies " +
                   shortText(rates.copyGbS) + " GB/s",
               {.size = 11, .anchor = "end"});
  for (size_t i = 0; i < report.contenders.size(); ++i) {
    std::vector<Point> points;
    for (const SizeReport &size : report.sizes)
      points.push_back(panel.at(size.contenders[i].work.flops / size.contenders[i].work.bytes,
                                size.contenders[i].gflopS()));
    drawing.line(points, {.stroke = colours[i]});
    for (const Point &point : points)
      drawing.mark(point, colours[i]);
    drawing.text({points.back().x, points.back().y - 9},
                 "n " + std::to_string(report.sizes.back().shape.length),
                 {.size = 10, .fill = colours[i], .anchor = "middle"});
  }
}

constexpr size_t mostLetters = 120; // of a line below both panels

void drawLegend(Drawing &drawing, const BenchReport &report) {
  double y = bottom + 68;
  for (size_t i = 0; i < report.contenders.size(); ++i, y += 22) {
    const Contender &contender = report.contenders[i];
    drawing.line({firstLeft, y - 4}, {firstLeft + 26, y - 4},
                 {.stroke = colours[i], .thickness = 2});
    drawing.mark({firstLeft + 13, y - 4}, colours[i]);
    const std::string text =
        contender.name + ": " + specTitle(contender.spec) + ", config " + contender.configSource;
    drawing.text({firstLeft + 34, y},
                 tune::elide(text, report.rates ? mostLetters : mostLetters / 2));
  }
  drawing.text({firstLeft, y},
               std::string("line: median; band: quartiles") +
                   (report.rates ? "; dashed: the least time by the machine's rates" : ""),
               {.size = 11, .fill = picture::grey});
}

/// "FAST at n 1024, 2048; SAME at n 4096"
std::string verdictsText(const BenchReport &report) {
  std::string text;
  for (const Verdict verdict : {Verdict::Fast, Verdict::Slow, Verdict::Same, Verdict::Undecided}) {
    std::string lengths;
    for (const SizeReport &size : report.sizes)
      if (size.comparison && size.comparison->verdict == verdict)
        lengths += (lengths.empty() ? "" : ", ") + std::to_string(size.shape.length);
    if (!lengths.empty())
      text += (text.empty() ? "" : "; ") + std::string(verdictName(verdict)) + " at n " + lengths;
  }
  return text;
}

} // namespace

std::string pictureOf(const BenchReport &report) {
  const double left = report.rates ? secondLeft : firstLeft;
  Drawing drawing(left + panelWidth + 24, bottom + 90 + 22 * double(report.contenders.size()));
  const tune::TuneShape &shape = report.sizes.front().shape;
  drawing.text({firstLeft - 44, 26},
               report.place.target + ", batch " + std::to_string(shape.batch) + ", " +
                   std::to_string(shape.heads) + (shape.heads == 1 ? " head" : " heads"),
               {.size = 17, .isBold = true});
  drawing.text({firstLeft - 44, 46}, verdictsText(report), {.fill = picture::grey});
  drawTimes(drawing, report);
  if (report.rates)
    drawRoofline(drawing, report);
  drawLegend(drawing, report);
  return drawing.svg();
}

} // namespace nysjit::bench
