// What a run is given: the tensors that its spec asks for, whose shapes and numbers fit each other.
#pragma once
#include "runtime/cli/options.h"
#include "runtime/cli/tensors.h"
#include "runtime/reference/reference.h"
#include "runtime/spec/tensor_table.h"

#include <list>
#include <map>
#include <optional>

namespace nysjit::cli {

struct Inputs {
  std::map<std::string, Tensor, std::less<>> tensors; // by the names of the table of tensors
  // "B", "Hq", "Hkv", "n", "d", "m", "c"; packed "total" instead of B and n
  std::map<std::string, int64_t, std::less<>> dimensions;
  bool isPacked = false;
  int64_t length = 0; // n; packed: total
  std::vector<int64_t> starts;
  std::vector<int64_t> lengths;       // rows of each sequence; those of one length, too
  std::vector<int64_t> sourceLengths; // prefix_lm: of each sequence
  int64_t maxLength = 0;              // of nysjit_run_args: 0 for sequences of one length

  const Tensor &at(std::string_view name) const { return tensors.find(name)->second; }
  bool has(std::string_view name) const { return tensors.contains(name); }
  /// The shape of a floating tensor whose dimensions are all known.
  std::vector<int64_t> shapeOf(const TensorRow &row) const;
};

/// Reads the inputs' files and checks, as far as can be known without the program, all that a run
/// would refuse. Errors name the flag, what was expected and what was found.
/// `maxLength`: the caller's, of sequences with lengths of their own.
Result<Inputs> loadInputs(const KernelSpec &spec, const TensorFiles &files,
                          std::optional<int64_t> maxLength = std::nullopt);

/// The same for the float64 reference, which keeps pointers: `input` is valid as long as this is.
class ReferenceCase {
public:
  ReferenceCase(const KernelSpec &spec, const Inputs &inputs, double scale);
  ReferenceCase(const ReferenceCase &) = delete;
  ReferenceCase &operator=(const ReferenceCase &) = delete;
  const reference::ReferenceInput &input() const { return own; }

private:
  std::list<std::vector<double>> values;
  reference::ReferenceInput own;
};

} // namespace nysjit::cli
