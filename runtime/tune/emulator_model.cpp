// Rates from the vendor's white papers and data sheets: dense products at boost clock.
#include "runtime/tune/emulator_model.h"

namespace nysjit::tune {

namespace {

constexpr double sectorBytes = 32;
constexpr GpuRates table[] = {{.capability = 80,
                               .gpu = "A100 SXM 40 GB",
                               .mmaFlops = 2048,
                               .bytes = 10.2,
                               .multiprocessors = 108,
                               .gigahertz = 1.41},
                              {.capability = 86,
                               .gpu = "A40",
                               .mmaFlops = 1024,
                               .bytes = 4.8,
                               .multiprocessors = 84,
                               .gigahertz = 1.74},
                              {.capability = 89,
                               .gpu = "L40",
                               .mmaFlops = 1024,
                               .bytes = 2.4,
                               .multiprocessors = 142,
                               .gigahertz = 2.49},
                              {.capability = 90,
                               .gpu = "H100 SXM",
                               .mmaFlops = 4096,
                               .bytes = 13.9,
                               .multiprocessors = 132,
                               .gigahertz = 1.83},
                              {.capability = 100,
                               .gpu = "B200",
                               .mmaFlops = 8192,
                               .bytes = 28.1,
                               .multiprocessors = 148,
                               .gigahertz = 1.92},
                              {.capability = 120,
                               .gpu = "RTX 5090",
                               .mmaFlops = 1024,
                               .bytes = 4.4,
                               .multiprocessors = 170,
                               .gigahertz = 2.41}};

} // namespace

const GpuRates &gpuRates(int capability) {
  const GpuRates *newest = table;
  for (const GpuRates &rates : table)
    if (rates.capability <= capability)
      newest = &rates;
  return *newest;
}

double modelMs(const nysjit_emulator_counts &counts, const GpuRates &rates, DType dtype) {
  const double perCycle = dtype == DType::Float32 ? rates.mmaFlops / 2 : rates.mmaFlops;
  const double cycles = double(counts.mma_flops) / perCycle +
                        sectorBytes * double(counts.global_sectors) / rates.bytes +
                        double(counts.instructions) / rates.instructions +
                        double(counts.bank_conflicts);
  return cycles / rates.multiprocessors / (rates.gigahertz * 1e6);
}

} // namespace nysjit::tune
