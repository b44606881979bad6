// Pictures: what they are made of, and that whatever the words are they stay XML. pictures_test.py
// reads the command's own with a parser.
#include "runtime/bench/picture.h"
#include "runtime/picture/drawing.h"
#include "runtime/picture/log_axis.h"
#include "runtime/tune/picture.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

using namespace nysjit;

namespace {

size_t countOf(const std::string &text, const std::string &part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
    ++count;
  return count;
}

TEST(Drawing, WordsAreEscaped) {
  picture::Drawing drawing(10, 20);
  drawing.text({1, 2}, "<a\x01& 'b'>\xff");
  const std::string svg = drawing.svg();
  EXPECT_NE(svg.find(">&lt;a?&amp; 'b'&gt;?</text>"), std::string::npos) << svg;
  EXPECT_NE(svg.find("viewBox='0 0 10 20'"), std::string::npos) << svg;
}

TEST(Drawing, NumbersAreShortAndFinite) {
  EXPECT_EQ(picture::numberText(12), "12");
  EXPECT_EQ(picture::numberText(12.5), "12.5");
  EXPECT_EQ(picture::numberText(0.126), "0.13");
  EXPECT_EQ(picture::numberText(-0.001), "0");
  EXPECT_EQ(picture::numberText(std::nan("")), "0");
  EXPECT_EQ(picture::numberText(std::numeric_limits<double>::infinity()), "0");
}

TEST(LogAxis, EqualRatiosAreEqualSteps) {
  const picture::LogAxis axis(1, 100, 0, 200);
  EXPECT_NEAR(axis.at(10), 100, 1e-9);
  EXPECT_NEAR(axis.at(20) - axis.at(10), axis.at(2) - axis.at(1), 1e-9);
  EXPECT_EQ(axis.at(1e9), 200);
  EXPECT_EQ(axis.at(0), 0);
  EXPECT_EQ(axis.ticks(), (std::vector<double>{1, 2, 5, 10, 20, 50, 100}));
  EXPECT_EQ(picture::LogAxis(1, 10000, 0, 1).ticks(),
            (std::vector<double>{1, 10, 100, 1000, 10000}));
  EXPECT_EQ(picture::shortText(16384), "16384");
  EXPECT_EQ(picture::shortText(0.05), "0.05");
}

bench::BenchReport someReport() {
  bench::BenchReport report;
  report.place.target = "cpu:native";
  report.rates = bench::Rates{.copyGbS = 10, .productGflopS = 100, .vectorBits = 512};
  KernelSpec spec;
  report.contenders = {{"a<b>.json", spec, {}, "default"}, {"other.json", spec, {}, "given"}};
  for (const int64_t n : {1024, 2048}) {
    const double ms = double(n) / 100;
    const bench::Work work{.flops = double(n * n), .bytes = double(n) * 100};
    report.sizes.push_back(
        {.shape = {.length = n, .heads = 8, .kvHeads = 8},
         .rounds = 40,
         .contenders = {{ms, {ms * 0.9, ms * 1.1}, work}, {2 * ms, {2 * ms, 2 * ms}, work}},
         .comparison = bench::Comparison{.verdict = bench::Verdict::Fast}});
  }
  return report;
}

TEST(BenchPicture, HasALineABandAndARoofForEachContender) {
  const std::string svg = bench::pictureOf(someReport());
  EXPECT_EQ(countOf(svg, "<polygon"), 2u) << "bands";
  EXPECT_EQ(countOf(svg, "stroke-dasharray"), 2u) << "least times";
  EXPECT_EQ(countOf(svg, "<circle"), 2u * 2 + 2 * 2 + 2) << "of times, speeds and the legend";
  EXPECT_NE(svg.find("FAST at n 1024, 2048"), std::string::npos);
  EXPECT_NE(svg.find("a&lt;b&gt;.json"), std::string::npos);
  EXPECT_NE(svg.find("products 100 GFLOP/s, copies 10 GB/s"), std::string::npos);
  EXPECT_EQ(svg, bench::pictureOf(someReport())) << "the same numbers, the same bytes";
}

TEST(BenchPicture, WithoutRatesHasTimesAlone) {
  bench::BenchReport report = someReport();
  report.rates.reset();
  const std::string svg = bench::pictureOf(report);
  EXPECT_EQ(countOf(svg, "stroke-dasharray"), 0u);
  EXPECT_EQ(svg.find("GFLOP/s"), std::string::npos);
  report.sizes.resize(1);
  EXPECT_EQ(countOf(bench::pictureOf(report), "<circle"), 2u + 2) << "one size will do";
}

TEST(BenchPicture, NumbersBelowItKeepApart) {
  bench::BenchReport report = someReport();
  report.rates.reset();
  for (int64_t n = 1100; n < 2000; n += 20) {
    report.sizes.insert(report.sizes.end() - 1, report.sizes.front());
    report.sizes[report.sizes.size() - 2].shape.length = n;
  }
  const std::string svg = bench::pictureOf(report);
  EXPECT_EQ(countOf(svg, ">1024</text>"), 1u);
  EXPECT_EQ(countOf(svg, ">1100</text>"), 0u);
  EXPECT_LE(countOf(svg, "text-anchor='middle'"), 420u / 44 + 1 + 2) << "and two names";
}

/// A tune of one group with a default of 64 x 64, 16 x 32 chosen.
tune::TuneReport someTune() {
  tune::GroupReport group{{"causal_output", {"causal_output"}, {}}, {}};
  group.group.defaults["causal_output"] = {.blockM = 64, .blockN = 64};
  for (const auto &[m, n, ratio] : {std::tuple(16, 32, 0.451), {64, 32, 1.25}}) {
    tune::CandidateReport &one = group.candidates.emplace_back();
    one.candidate.blocks["causal_output"] = {.blockM = m, .blockN = n};
    one.ratio = ratio;
    one.ratios = {ratio};
    one.isChosen = ratio < 1;
  }
  tune::SpecReport spec{.groups = {group}};
  spec.entry.target = "cpu:native";
  return {.specs = {spec, spec}};
}

TEST(TunePicture, EachPairOfBlocksHasACellAndTheDefaultAndTheChosenAreMarked) {
  tune::TuneReport report = someTune();
  report.specs[1].entry.config.kernels["causal_output"] = {.blockM = 16, .blockN = 32};
  const std::string svg = tune::pictureOf(report);
  for (const char *number : {">0.451<", ">1.250<", ">1.000<", ">.<"}) // 16x64 was not timed
    EXPECT_EQ(countOf(svg, number), 2u) << number;
  EXPECT_EQ(countOf(svg, "shape-rendering"), 2u * 3) << "cells";
  EXPECT_EQ(countOf(svg, "stroke-dasharray"), 2u) << "defaults";
  EXPECT_EQ(countOf(svg, "stroke-width='3'"), 2u) << "chosen";
  EXPECT_EQ(countOf(svg, "font-weight='bold'>0.451<"), 2u);
  EXPECT_EQ(countOf(svg, "the default stands"), 1u);
  EXPECT_EQ(countOf(svg, "faster than the default"), 1u);
  EXPECT_EQ(countOf(svg, "fill='#ffffff'"), 2u) << "1.000 is white";
  EXPECT_EQ(countOf(svg, "fill='#4a90ce'"), 2u) << "less than half the time is as blue as it gets";
  EXPECT_EQ(svg, tune::pictureOf(report));
}

} // namespace
