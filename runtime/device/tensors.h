// From DLPack tensors to the values of a plan's symbols: checks each tensor against its
// PlanArgument and binds the symbols of shapes, strides and dtypes. Nothing here allocates unless
// it fails.
#pragma once
#include "runtime/base/result.h"
#include "runtime/plan/plan.h"

#include <cstdint>
#include <dlpack/dlpack.h>
#include <string>
#include <vector>

namespace nysjit {

/// Half-open range of addresses that a tensor's elements lie in; empty if it has none.
struct AddressRange {
  uint64_t begin = 0;
  uint64_t end = 0;
};

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
    bool isOutput;
    std::vector<std::string> dtypes;
    std::vector<DLDataType> types;
    bool hasDtypeSymbol;
    size_t dtypeSymbol;
    size_t alignmentSymbol; // SIZE_MAX: none
    bool isOptional;
    size_t packedSymbol; // SIZE_MAX: none
    bool bindsPacked;
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
  Status bindSequences(const DLTensor *const *tensors, TensorDevice device, int64_t maxLength,
                       int64_t *values) const;
  Status bindOne(const Argument &argument, const DLTensor *tensor, TensorDevice &device,
                 int64_t *values) const;
  static bool agrees(const Dimension &dimension, int64_t found, int64_t *values);
  Error disagreement(const Argument &argument, const char *what, size_t index,
                     const Dimension &dimension, int64_t found, const int64_t *values) const;

  std::vector<std::string> symbols;
  std::vector<Argument> arguments;
  Sequences sequences;
};

} // namespace nysjit
