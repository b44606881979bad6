// From DLPack tensors to the values of a plan's symbols: checks each tensor against its
// PlanArgument and binds the symbols of shapes, strides and dtypes. Nothing here allocates unless
// it fails.
#pragma once
#include "runtime/base/result.h"
#include "runtime/device/tensor_memory.h"
#include "runtime/plan/plan.h"

#include <cstdint>
#include <dlpack/dlpack.h>
#include <string>
#include <vector>

namespace nysjit {

/// Where tensors must lie. `id` -1: on any device of the type, all on the same.
struct TensorDevice {
  DLDeviceType type = kDLCPU;
  int32_t id = -1;
};

/// One plan's arguments, prepared for checking tensors.
class TensorBinder {
public:
  explicit TensorBinder(const Plan &plan);

  /// One value a symbol, in planSymbols order, and one address an argument. `tensors` has one
  /// pointer an argument; `maxLength` is the caller's, 0: not said. With `sizesOnly` the data
  /// pointers are not looked at, but those of sequences in host memory, where they are there.
  Status bind(const DLTensor *const *tensors, TensorDevice device, int64_t maxLength,
              int64_t *values, void **addresses, bool sizesOnly) const;

  /// The caller's memory called `name` shares no byte with an element of a tensor. `bind` has
  /// checked these.
  Status checkApart(const DLTensor *const *tensors, const char *name, AddressRange memory) const;

private:
  struct Dimension {
    bool isConstant;
    int64_t constant;
    size_t symbol;        // its number
    bool binds;           // this is the symbol's first occurrence
    size_t firstArgument; // where that was, for messages
  };
  struct Argument {
    std::string name;
    bool isOutput = false;
    bool isOptional = false;
    std::vector<std::string> dtypes;
    std::vector<DLDataType> types;
    size_t dtypeSymbol = SIZE_MAX; // as those below: none
    size_t alignmentSymbol = SIZE_MAX;
    size_t presenceSymbol = SIZE_MAX;
    size_t packedSymbol = SIZE_MAX;
    bool bindsPacked = false;
    std::vector<Dimension> shape;
    std::vector<Dimension> strides;
  };
  /// Arguments and symbols of PlanSequences; SIZE_MAX: none.
  struct Sequences {
    size_t offsets;
    size_t lengths;
    size_t starts;
    size_t sourceLengths;
    size_t rows;
    size_t maxLength;
  };
  /// An argument of the plan over the symbols' numbers, of which `boundBy` says who binds them
  /// first.
  Argument argumentOf(const PlanArgument &from, std::vector<size_t> &boundBy) const;
  size_t numberOf(const std::string &symbol) const;
  // The steps of `bind`; each is one check of one tensor, or of all.
  bool arePacked(const DLTensor *const *given) const;
  Status checkPacking(size_t number, bool isPacked, const DLTensor *const *given) const;
  Status bindPacked(size_t number, bool isPacked, const DLTensor *given, int64_t *values) const;
  Status bindOne(const Argument &argument, const DLTensor *tensor, TensorDevice &device,
                 int64_t *values) const;
  Status bindDtype(const Argument &argument, const DLTensor &tensor, int64_t *values) const;
  Status bindShape(const Argument &argument, const DLTensor &tensor, int64_t *values) const;
  Status bindStrides(const Argument &argument, const DLTensor &tensor, int64_t *values) const;
  Status bindAddress(const Argument &argument, const DLTensor *tensor, int64_t *values,
                     void *&address, AddressRange &range) const;
  Status bindSequences(const DLTensor *const *tensors, TensorDevice device, int64_t maxLength,
                       int64_t *values) const;
  Status checkOverlaps(const DLTensor *const *tensors, const AddressRange *ranges) const;
  /// "q.shape[2]" of dimension 2 as the plan sees it, under the number that it has for the caller.
  static std::string element(const Argument &argument, const char *what, size_t index,
                             const int64_t *values);
  static bool agrees(const Dimension &dimension, int64_t found, int64_t *values);
  Error disagreement(const Argument &argument, const char *what, size_t index,
                     const Dimension &dimension, int64_t found, const int64_t *values) const;

  std::vector<std::string> symbols;
  std::vector<Argument> arguments;
  Sequences sequences;
};

} // namespace nysjit
