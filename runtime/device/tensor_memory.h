// One DLTensor by itself: its dtype's name, its strides, the addresses of its elements. Nothing
// here allocates but texts.
#pragma once
#include "runtime/plan/plan.h"

#include <cstdint>
#include <dlpack/dlpack.h>
#include <string>
#include <string_view>

namespace nysjit {

/// The dtype that a plan calls `name`; false if there is none.
bool dtypeFromName(std::string_view name, DLDataType &type);
/// Its name; "uint8", "float32 with 4 lanes" and the like for one that no plan has.
std::string dtypeText(DLDataType type);
inline bool isSameDtype(DLDataType a, DLDataType b) {
  return a.code == b.code && a.bits == b.bits && a.lanes == b.lanes;
}
/// "CPU memory (kDLCPU)", "GPU memory (kDLCUDA) of device 0".
std::string deviceText(int type, int id);

/// Strides of a tensor, filled in where the caller left them out.
struct TensorStrides {
  int64_t values[maxPlanRank];
  bool isEmpty = false; // the tensor has no elements
  /// False if a compact tensor of that shape would have 2^63 elements or more.
  bool fill(const DLTensor &tensor);
};

/// A tensor as the plan sees it: rows of packed sequences, [n, H, d], as [1, H, n, d].
class UnpackedTensor {
public:
  /// The tensor itself unless it is packed; else a view that lives as long as this.
  const DLTensor *of(const DLTensor *tensor);
  bool isPacked = false;

private:
  DLTensor view;
  int64_t shape[4];
  int64_t strides[4];
};

/// Half-open range of addresses that a tensor's elements lie in; empty if it has none.
struct AddressRange {
  uint64_t begin = 0;
  uint64_t end = 0;
  bool meets(const AddressRange &other) const { return begin < other.end && other.begin < end; }
};

/// The addresses of a tensor's elements; false if they leave the address space.
bool addressRange(const DLTensor &tensor, const TensorStrides &strides, AddressRange &range);
/// The largest power of two up to maxTensorAlignment that divides the address and the strides that
/// are stepped over. Rows always count: tiles reach, without touching it, beyond an only one.
int64_t alignmentOf(const DLTensor &tensor, const TensorStrides &strides);

inline uintptr_t addressOf(const DLTensor &tensor) {
  return reinterpret_cast<uintptr_t>(tensor.data) + tensor.byte_offset;
}

} // namespace nysjit
