// Draws what the `causal` layout does: one head's attention weights, exact (left) beside near and
// landmarks (right).
//   layout_picture DATA_DIR OUT.svg [head]
// DATA_DIR has q.npy, k.npy and v.npy, [1, heads, n, d]. Both matrices come from the float64
// reference, over the first 128 positions in segments of 16. The file is one self-contained .svg:
// cells of one shade are one path.
#include "runtime/npy/npy.h"
#include "runtime/reference/reference.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <sstream>
#include <string>

using namespace nysjit;
using namespace nysjit::reference;

namespace {

constexpr int64_t positions = 128;
constexpr int64_t segmentLen = 16;
constexpr int64_t segments = positions / segmentLen;
constexpr double cell = 3.75;
constexpr double side = positions * cell;
constexpr double leftX = 76;
constexpr double rightX = 640;
constexpr double panelY = 142; // where the panels' upper left corners are
constexpr double chartX = leftX;
constexpr double chartY = 770;
constexpr double chartWidth = rightX + side - leftX;
constexpr double chartHeight = 130;
constexpr double width = 1160;
constexpr double height = 1016;

/// White to one hue. A weight's shade is its logarithm: 1 is darkest, `least` and below the
/// lightest.
struct Ramp {
  std::array<int, 3> light;
  std::array<int, 3> middle;
  std::array<int, 3> dark;
  static constexpr int levels = 28;
  static constexpr double least = 1e-3;

  static int level(double weight) {
    const double shade = 1 - std::log(std::max(weight, least)) / std::log(least); // 0 to 1
    return static_cast<int>(std::lround(shade * (levels - 1)));
  }
  std::string colour(int level) const {
    const double shade = 2.0 * level / (levels - 1); // 0 light, 1 middle, 2 dark
    const std::array<int, 3> &from = shade < 1 ? light : middle;
    const std::array<int, 3> &to = shade < 1 ? middle : dark;
    const double part = shade < 1 ? shade : shade - 1;
    char text[8];
    std::snprintf(text, sizeof text, "#%02x%02x%02x", int(from[0] + part * (to[0] - from[0])),
                  int(from[1] + part * (to[1] - from[1])), int(from[2] + part * (to[2] - from[2])));
    return text;
  }
};
constexpr Ramp nearRamp{{228, 240, 250}, {74, 144, 206}, {8, 38, 92}};
constexpr Ramp farRamp{{253, 238, 218}, {240, 140, 50}, {120, 34, 6}};

/// The .svg text as it grows.
class Drawing {
public:
  void text(double x, double y, const std::string &words, int size = 14, const char *more = "") {
    out << "<text x='" << x << "' y='" << y << "' font-size='" << size << "' " << more << ">"
        << words << "</text>\n";
  }
  void box(double x, double y, double w, double h, const std::string &fill, const char *more = "") {
    out << "<rect x='" << x << "' y='" << y << "' width='" << w << "' height='" << h << "' fill='"
        << fill << "' " << more << "/>\n";
  }
  void line(double x1, double y1, double x2, double y2, const char *stroke, double thickness,
            const char *more = "") {
    out << "<line x1='" << x1 << "' y1='" << y1 << "' x2='" << x2 << "' y2='" << y2 << "' stroke='"
        << stroke << "' stroke-width='" << thickness << "' " << more << "/>\n";
  }
  void raw(const std::string &element) { out << element << "\n"; }
  std::string svg() const {
    std::ostringstream whole;
    whole << "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 " << width << " " << height
          << "' width='" << width << "' height='" << height
          << "' font-family='sans-serif' fill='#222'>\n"
          << "<rect width='100%' height='100%' fill='white'/>\n"
          << out.str() << "</svg>\n";
    return whole.str();
  }

private:
  std::ostringstream out;
};

/// Cells of a panel, gathered by shade.
class Cells {
public:
  /// `count` cells from column t of row i in one shade.
  void add(const Ramp &ramp, int64_t i, int64_t t, int64_t count, double weight) {
    std::string &path = paths[&ramp == &farRamp][static_cast<size_t>(Ramp::level(weight))];
    const std::string run = std::to_string(count);
    path += "M" + std::to_string(t) + " " + std::to_string(i) + "h" + run + "v1h-" + run + "z";
  }
  void draw(Drawing &drawing, double x) const {
    std::ostringstream open;
    open << "<g transform='translate(" << x << " " << panelY << ") scale(" << cell
         << ")' shape-rendering='crispEdges'>";
    drawing.raw(open.str());
    for (int isFar = 0; isFar < 2; ++isFar)
      for (int level = 0; level < Ramp::levels; ++level)
        if (const std::string &path = paths[isFar][level]; !path.empty())
          drawing.raw("<path fill='" + (isFar ? farRamp : nearRamp).colour(level) + "' d='" + path +
                      "'/>");
    drawing.raw("</g>");
  }

private:
  std::array<std::array<std::string, Ramp::levels>, 2> paths;
};

/// The query of the lower chart: of the second half, the one whose exact weights spread most evenly
/// over the segments.
int64_t rowToShow(const Matrix &exact) {
  int64_t chosen = positions - 1;
  double most = -1;
  for (int64_t i = positions / 2; i < positions; ++i) {
    double entropy = 0;
    for (int64_t start = 0; start <= i; start += segmentLen) {
      double mass = 0;
      for (int64_t t = start; t < std::min(start + segmentLen, positions); ++t)
        mass += exact(i, t);
      entropy -= mass > 0 ? mass * std::log(mass) : 0;
    }
    if (entropy > most && i % segmentLen >= segmentLen / 2) { // with a fair part of its own segment
      most = entropy;
      chosen = i;
    }
  }
  return chosen;
}

/// Axes with a tick at every segment, segment borders inside the triangle, and the marked row.
void drawFrame(Drawing &drawing, double x, bool withLabel, int64_t shownRow) {
  for (int64_t g = 0; g <= segments; ++g) {
    const double at = g * segmentLen * cell;
    const std::string number = std::to_string(g * segmentLen);
    drawing.line(x + at, panelY + at, x + at, panelY + side, "#fff", 1);
    drawing.line(x, panelY + at, x + std::min<double>(at, side), panelY + at, "#fff", 1);
    drawing.line(x + at, panelY + side, x + at, panelY + side + 5, "#555", 1);
    drawing.text(x + at, panelY + side + 19, number, 12, "text-anchor='middle'");
    drawing.line(x - 5, panelY + at, x, panelY + at, "#555", 1);
    drawing.text(x - 9, panelY + at + 4, number, 12, "text-anchor='end'");
  }
  drawing.line(x, panelY, x, panelY + side, "#555", 1);
  drawing.line(x, panelY + side, x + side, panelY + side, "#555", 1);
  drawing.text(x + side / 2, panelY + side + 38, "position t that is looked at", 13,
               "text-anchor='middle'");
  if (withLabel) {
    std::ostringstream turned;
    turned << "<text font-size='13' text-anchor='middle' transform='translate(" << x - 44 << " "
           << panelY + side / 2 << ") rotate(-90)'>query position i</text>";
    drawing.raw(turned.str());
  }
  drawing.text(x + 0.8 * side, panelY + 0.34 * side, "the future", 15,
               "text-anchor='middle' fill='#999'");
  drawing.text(x + 0.8 * side, panelY + 0.34 * side + 18, "(never read)", 13,
               "text-anchor='middle' fill='#999'");
  drawing.box(x - 1, panelY + shownRow * cell - 1.5, shownRow * cell + cell + 2, cell + 3, "none",
              "stroke='#111' stroke-width='1.2'");
}

/// Words beside the right panel's triangle that name its two parts.
void drawCallouts(Drawing &drawing) {
  const double nearX = rightX + 4.6 * segmentLen * cell;
  const double nearY = panelY + 4.45 * segmentLen * cell;
  drawing.line(nearX, nearY, nearX + 32, nearY - 26, "#1f5f9f", 1.3);
  drawing.text(nearX + 36, nearY - 36, "near: the query's own", 14,
               "fill='#1f5f9f' font-weight='bold'");
  drawing.text(nearX + 36, nearY - 19, "segment, exact", 14, "fill='#1f5f9f' font-weight='bold'");
  const double farX = rightX + 0.55 * segmentLen * cell;
  const double farY = panelY + 1.2 * segmentLen * cell;
  drawing.line(farX, farY, farX + 80, farY - 52, "#b3560b", 1.3);
  drawing.text(farX + 84, farY - 56, "far: a whole segment seen", 14,
               "fill='#b3560b' font-weight='bold'");
  drawing.text(farX + 84, farY - 39, "through one landmark", 14,
               "fill='#b3560b' font-weight='bold'");
}

/// A colour bar from 0.001 to 1.
void drawLegend(Drawing &drawing, double x, double y, const Ramp &ramp, const std::string &words) {
  constexpr double step = 5;
  for (int level = 0; level < Ramp::levels; ++level)
    drawing.box(x + level * step, y, step + 0.3, 13, ramp.colour(level),
                "shape-rendering='crispEdges'");
  const double length = Ramp::levels * step;
  const std::array<const char *, 4> numbers = {"&#8804; 0.001", "0.01", "0.1", "1"};
  for (size_t i = 0; i < numbers.size(); ++i)
    drawing.text(x + length * double(i) / 3, y + 27, numbers[i], 11, "text-anchor='middle'");
  drawing.text(x + length + 14, y + 11, words, 13);
}

/// The marked row segment by segment: the exact weights' sum beside what the layout gives.
void drawChart(Drawing &drawing, const Matrix &exact, const CausalWeights &causal,
               int64_t shownRow) {
  const int64_t own = shownRow / segmentLen;
  std::array<double, segments> before{};
  std::array<double, segments> after{};
  for (int64_t t = 0; t <= shownRow; ++t) {
    before[size_t(t / segmentLen)] += exact(shownRow, t);
    after[size_t(t / segmentLen)] += causal.near(shownRow, t);
  }
  for (int64_t j = 0; j < own; ++j)
    after[size_t(j)] += causal.far(shownRow, j);
  const double top = std::max(*std::max_element(before.begin(), before.end()),
                              *std::max_element(after.begin(), after.end()));
  const double group = chartWidth / double(own + 1);
  const double bar = 0.28 * group;
  for (int64_t g = 0; g <= own; ++g) {
    const double x = chartX + g * group + 0.5 * group;
    auto drawBar = [&](double at, double weight, const std::string &fill) {
      const double tall = weight / top * chartHeight;
      char number[16];
      std::snprintf(number, sizeof number, "%.2f", weight);
      drawing.box(at, chartY + chartHeight - tall, bar, tall, fill);
      drawing.text(at + bar / 2, chartY + chartHeight - tall - 5, number, 12,
                   "text-anchor='middle'");
    };
    drawBar(x - bar - 1, before[size_t(g)], "#9aa4ad");
    drawBar(x + 1, after[size_t(g)], g < own ? "#f08c32" : "#4a90ce");
    const std::string range = std::to_string(g * segmentLen) + "&#8211;" +
                              std::to_string(std::min(g * segmentLen + segmentLen - 1, shownRow));
    drawing.text(x, chartY + chartHeight + 18, range, 12, "text-anchor='middle'");
  }
  drawing.line(chartX, chartY + chartHeight, chartX + chartWidth, chartY + chartHeight, "#555", 1);
  drawing.text(chartX + chartWidth / 2, chartY + chartHeight + 37, "positions", 13,
               "text-anchor='middle'");
}

std::string picture(const Head &head, const std::string &name) {
  KernelSpec spec; // causal, window 0, tangent, nystrom
  const Matrix exact = exactWeights(head);
  const CausalWeights weights = causalWeights(head, spec, segmentLen);
  const int64_t shownRow = rowToShow(exact);
  Cells left;
  Cells right;
  for (int64_t i = 0; i < positions; ++i) {
    const int64_t nearStart = i / segmentLen * segmentLen;
    for (int64_t t = 0; t <= i; ++t)
      left.add(nearRamp, i, t, 1, exact(i, t));
    for (int64_t t = nearStart; t <= i; ++t)
      right.add(nearRamp, i, t, 1, weights.near(i, t));
    for (int64_t j = 0; j < i / segmentLen; ++j)
      right.add(farRamp, i, j * segmentLen, segmentLen, weights.far(i, j));
  }
  const int64_t exactCount = shownRow + 1;
  const int64_t nearCount = shownRow % segmentLen + 1;
  const int64_t farCount = shownRow / segmentLen;

  Drawing drawing;
  drawing.text(leftX - 54, 38, "How the causal layout sees the past", 24, "font-weight='bold'");
  drawing.text(leftX - 54, 64,
               "Attention weights of " + name + ": each row is one query, its weights sum to 1.",
               14);
  drawing.text(leftX, 104, "Exact causal attention", 18, "font-weight='bold'");
  drawing.text(leftX, 126, "Every query weighs every earlier position by itself.", 14);
  drawing.text(rightX, 104, "Causal Nystr&#246;m attention, segments of 16", 18,
               "font-weight='bold'");
  drawing.text(rightX, 126, "Own segment exactly; each earlier one through a single weight.", 14);
  left.draw(drawing, leftX);
  right.draw(drawing, rightX);
  drawFrame(drawing, leftX, true, shownRow);
  drawFrame(drawing, rightX, false, shownRow);
  drawCallouts(drawing);
  drawLegend(drawing, leftX, 684, nearRamp, "weight of one position (exact, near)");
  drawLegend(drawing, rightX, 684, farRamp, "weight of one landmark: a whole segment of 16");
  drawing.text(leftX, 744,
               "The outlined row, query " + std::to_string(shownRow) + ", segment by segment", 18,
               "font-weight='bold'");
  drawChart(drawing, exact, weights, shownRow);
  const double last = 956;
  drawing.box(leftX, last - 11, 13, 13, "#9aa4ad");
  drawing.text(leftX + 19, last, "exact weights, summed: " + std::to_string(exactCount) + " scores",
               14);
  drawing.box(leftX + 330, last - 11, 13, 13, "#f08c32");
  drawing.text(leftX + 349, last, "landmark: " + std::to_string(farCount) + " scores", 14);
  drawing.box(leftX + 545, last - 11, 13, 13, "#4a90ce");
  drawing.text(leftX + 564, last, "near, exact: " + std::to_string(nearCount) + " scores", 14);
  drawing.text(leftX, 984,
               "Before a row is scaled to sum to 1, a landmark's weight is never above its "
               "segment's true total; what "
               "landmarks miss goes to the rest of the row.",
               14);
  return drawing.svg();
}

/// Rows 0 to `positions` of one head of DATA_DIR/name.npy.
Result<Matrix> loadHead(const std::string &folder, const char *name, int64_t head) {
  const std::string path = folder + "/" + name + ".npy";
  Result<NpyArray> array = readNpy(path);
  NYSJIT_RETURN_IF_ERROR(array);
  const std::vector<int64_t> &shape = array->shape;
  if (shape.size() != 4 || !array->isFloating() || shape[0] < 1 || shape[1] <= head ||
      shape[2] < positions)
    return Error::plain(ErrorKind::InvalidShape, path,
                        path + ": expected floating [1, more than " + std::to_string(head) +
                            ", at least " + std::to_string(positions) + ", d]");
  const std::vector<double> values = array->toDouble();
  Matrix rows(positions, shape[3]);
  std::copy_n(values.begin() + head * shape[2] * shape[3], rows.values.size(), rows.values.begin());
  return rows;
}

Status drawTo(const std::string &folder, const std::string &output, int64_t headIndex) {
  Result<Matrix> q = loadHead(folder, "q", headIndex);
  Result<Matrix> k = loadHead(folder, "k", headIndex);
  Result<Matrix> v = loadHead(folder, "v", headIndex);
  for (const Result<Matrix> *matrix : {&q, &k, &v})
    if (!matrix->ok())
      return matrix->error();
  if (q->columns != k->columns || q->columns != v->columns)
    return Error::plain(ErrorKind::InvalidShape, folder,
                        folder + ": expected q, k and v of one head dimension");
  const Head head{*q, *k, *v, 1 / std::sqrt(double(q->columns))};
  const std::string text = picture(head, "head " + std::to_string(headIndex) + " over its first " +
                                             std::to_string(positions) + " positions");
  std::FILE *file = std::fopen(output.c_str(), "wb");
  if (!file)
    return Error::plain(ErrorKind::Io, output, output + ": " + std::strerror(errno));
  const bool isWritten = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  if (std::fclose(file) != 0 || !isWritten)
    return Error::plain(ErrorKind::Io, output, output + ": could not be written");
  return {};
}

} // namespace

int main(int argc, char **argv) {
  int64_t head = 9; // one that looks both near and far
  if (argc == 4) {
    const char *end = argv[3] + std::strlen(argv[3]);
    const auto [stop, error] = std::from_chars(argv[3], end, head);
    if (error != std::errc() || stop != end || head < 0)
      argc = 0;
  }
  if (argc < 3 || argc > 4) {
    std::fprintf(stderr, "usage: layout_picture DATA_DIR OUT.svg [head]\n");
    return 2;
  }
  if (Status status = drawTo(argv[1], argv[2], head); !status) {
    std::fprintf(stderr, "%s\n", status.error().message.c_str());
    return isRequestError(status.error().kind) ? 2 : 1;
  }
  std::printf("wrote %s\n", argv[2]);
  return 0;
}
