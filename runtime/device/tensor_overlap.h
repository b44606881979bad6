// Do elements of tensors share memory? Exact, whatever the strides: views of one buffer may
// interleave without sharing a byte. Nothing here allocates.
#pragma once
#include "runtime/device/tensor_memory.h"

#include <dlpack/dlpack.h>

namespace nysjit {

/// Two elements of the tensor share a byte. Its elements lie in the address space (addressRange).
bool overlapsItself(const DLTensor &tensor, const TensorStrides &strides);

/// A byte belongs to both. Where two tensors have more than three different strides between them
/// that are not multiples of each other, a common byte may be missed, none is made up.
bool overlaps(const DLTensor &a, const TensorStrides &aStrides, const DLTensor &b,
              const TensorStrides &bStrides);

} // namespace nysjit
