// Prints ||a - b|| / ||b|| of two .npy files of one shape.
//   npy_error A.npy B.npy
#include "runtime/npy/npy.h"

#include <cmath>
#include <cstdio>

using namespace nysjit;

int main(int argc, char **argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: npy_error A.npy B.npy\n");
    return 2;
  }
  const Result<NpyArray> files[] = {readNpy(argv[1]), readNpy(argv[2])};
  for (const Result<NpyArray> &file : files) {
    if (file.ok() && file->isFloating())
      continue;
    std::fprintf(stderr, "%s\n",
                 file.ok() ? "expected floating-point numbers in both files"
                           : file.error().message.c_str());
    return 2;
  }
  if (files[0]->shape != files[1]->shape) {
    std::fprintf(stderr, "expected one shape, found two\n");
    return 2;
  }
  const std::vector<double> a = files[0]->toDouble();
  const std::vector<double> b = files[1]->toDouble();
  double error = 0;
  double norm = 0;
  for (size_t i = 0; i < b.size(); ++i) {
    error += (a[i] - b[i]) * (a[i] - b[i]);
    norm += b[i] * b[i];
  }
  std::printf("%.4g\n", std::sqrt(error / norm));
  return 0;
}
