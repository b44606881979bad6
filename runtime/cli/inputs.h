// What a run is given: the tensors that its spec asks for, whose shapes and numbers fit each other.
#pragma once
#include "runtime/cli/options.h"
#include "runtime/cli/tensors.h"
#include "runtime/reference/reference.h"

namespace nysjit::cli {

struct Inputs {
  Tensor q;
  Tensor k;
  Tensor v; // [B, heads, length, d]; packed [length, heads, d]
  std::optional<Tensor> landmarkQ;
  std::optional<Tensor> landmarkK;
  std::optional<Tensor> conv;
  std::optional<Tensor> cuSeqlens;
  std::optional<Tensor> seqlens;
  std::optional<Tensor> sourceLen; // int32
  int64_t queryHeads = 0;
  int64_t keyHeads = 0;
  int64_t length = 0;
  std::vector<int64_t> starts;
  std::vector<int64_t> lengths;       // rows of each sequence; those of one length, too
  std::vector<int64_t> sourceLengths; // prefix_lm: of each sequence
  int64_t maxLength = 0;              // of nysjit_run_args: 0 for sequences of one length

  bool isPacked() const { return cuSeqlens.has_value(); }
};

/// Reads the files and checks, as far as can be known without the program, all that a run would
/// refuse. Errors name the flag, what was expected and what was found.
Result<Inputs> loadInputs(const KernelSpec &spec, const InputFiles &files);

/// The same for the float64 reference, which keeps pointers: `input` is valid as long as this is.
class ReferenceCase {
public:
  ReferenceCase(const KernelSpec &spec, const Inputs &inputs, double scale);
  ReferenceCase(const ReferenceCase &) = delete;
  ReferenceCase &operator=(const ReferenceCase &) = delete;
  const reference::ReferenceInput &input() const { return own; }

private:
  std::vector<double> q;
  std::vector<double> k;
  std::vector<double> v;
  std::vector<double> landmarkQ;
  std::vector<double> landmarkK;
  std::vector<double> conv;
  reference::ReferenceInput own;
};

} // namespace nysjit::cli
