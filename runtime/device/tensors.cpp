// Tensor checks, in the order a caller would want to hear of them: there at all, device, dtype,
// rank, shape, strides, data, then outputs against everything else.
#include "runtime/device/tensors.h"
#include "runtime/device/tensor_overlap.h"

#include <algorithm>

namespace nysjit {

namespace {

Error shapeError(const std::string &where, const std::string &expected, const std::string &found) {
  return Error::mismatch(ErrorKind::InvalidShape, where, expected, found);
}

/// "[96, 0, 16, 1]"; of packed rows as the caller gave them.
std::string stridesText(const TensorStrides &strides, bool isPacked, int rank) {
  constexpr int ofPacked[] = {2, 1, 3};
  std::string text;
  for (int i = 0; i < (isPacked ? 3 : rank); ++i)
    text += (i ? ", " : "[") + std::to_string(strides.values[isPacked ? ofPacked[i] : i]);
  return text + "]";
}

bool isPackedTensor(size_t packedSymbol, const int64_t *values) {
  return packedSymbol != SIZE_MAX && values[packedSymbol] != 0;
}

} // namespace

size_t TensorBinder::numberOf(const std::string &symbol) const {
  return static_cast<size_t>(std::ranges::find(symbols, symbol) - symbols.begin());
}

TensorBinder::Argument TensorBinder::argumentOf(const PlanArgument &from,
                                                std::vector<size_t> &boundBy) const {
  Argument argument;
  argument.name = from.name;
  argument.isOutput = from.isOutput;
  argument.isOptional = from.isOptional;
  argument.dtypes = from.dtypes;
  for (const std::string &dtype : from.dtypes)
    if (DLDataType type; dtypeFromName(dtype, type))
      argument.types.push_back(type);
  const auto symbolOf = [&](const std::string &name) {
    return name.empty() ? SIZE_MAX : numberOf(name);
  };
  argument.dtypeSymbol = symbolOf(from.dtypeSymbol);
  argument.alignmentSymbol = symbolOf(from.alignmentSymbol);
  argument.presenceSymbol = symbolOf(from.presenceSymbol);
  argument.packedSymbol = symbolOf(from.packedSymbol);
  argument.bindsPacked =
      argument.packedSymbol != SIZE_MAX &&
      std::ranges::none_of(arguments, [](const Argument &a) { return a.packedSymbol != SIZE_MAX; });
  const auto dimensions = [&](const std::vector<Expression> &list, std::vector<Dimension> &out) {
    for (const Expression &e : list) {
      if (e.isConstant()) {
        out.push_back({true, e.constant(), 0, false, 0});
        continue;
      }
      const size_t symbol = numberOf(e.symbolName());
      const bool binds = boundBy[symbol] == SIZE_MAX;
      if (binds)
        boundBy[symbol] = arguments.size();
      out.push_back({false, 0, symbol, binds, boundBy[symbol]});
    }
  };
  dimensions(from.shape, argument.shape);
  dimensions(from.strides, argument.strides);
  return argument;
}

TensorBinder::TensorBinder(const Plan &plan) : symbols(planSymbols(plan)) {
  std::vector<size_t> boundBy(symbols.size(), SIZE_MAX);
  for (const PlanArgument &from : plan.arguments)
    arguments.push_back(argumentOf(from, boundBy));
  const auto named = [&](const std::string &name) {
    const auto found = std::ranges::find(arguments, name, &Argument::name);
    return name.empty() ? SIZE_MAX : static_cast<size_t>(found - arguments.begin());
  };
  const PlanSequences &s = plan.sequences;
  sequences = {named(s.offsets),
               named(s.lengths),
               named(s.starts),
               named(s.sourceLengths),
               s.rows.empty() ? SIZE_MAX : numberOf(s.rows),
               s.rows.empty() ? SIZE_MAX : numberOf(s.maxLength)};
}

std::string TensorBinder::element(const Argument &argument, const char *what, size_t index,
                                  const int64_t *values) {
  constexpr size_t ofPacked[] = {0, 1, 0, 2}; // [1, H, n, d] is [n, H, d]
  if (isPackedTensor(argument.packedSymbol, values))
    index = ofPacked[index];
  return argument.name + "." + what + "[" + std::to_string(index) + "]";
}

Error TensorBinder::disagreement(const Argument &argument, const char *what, size_t index,
                                 const Dimension &dimension, int64_t found,
                                 const int64_t *values) const {
  std::string text =
      std::to_string(dimension.isConstant ? dimension.constant : values[dimension.symbol]);
  if (!dimension.isConstant) {
    const bool isTotal =
        dimension.symbol == sequences.rows && isPackedTensor(argument.packedSymbol, values);
    text += " (" + (isTotal ? "total" : symbols[dimension.symbol]) + ", as in " +
            arguments[dimension.firstArgument].name + ")";
  }
  return shapeError(element(argument, what, index, values), text, std::to_string(found));
}

/// Binds the dimension's symbol if this is its first occurrence; else says whether `found` is what
/// it must be.
bool TensorBinder::agrees(const Dimension &dimension, int64_t found, int64_t *values) {
  if (dimension.binds) {
    values[dimension.symbol] = found;
    return true;
  }
  return found == (dimension.isConstant ? dimension.constant : values[dimension.symbol]);
}

Status TensorBinder::bindOne(const Argument &argument, const DLTensor *tensor, TensorDevice &device,
                             int64_t *values) const {
  const std::string &name = argument.name;
  if (argument.presenceSymbol != SIZE_MAX)
    values[argument.presenceSymbol] = tensor ? 1 : 0;
  if (!tensor && argument.isOptional) {
    for (const std::vector<Dimension> *list : {&argument.shape, &argument.strides})
      for (const Dimension &dimension : *list)
        if (dimension.binds)
          values[dimension.symbol] = 0;
    if (argument.dtypeSymbol != SIZE_MAX)
      values[argument.dtypeSymbol] = 0;
    return {};
  }
  if (!tensor)
    return Error::mismatch(ErrorKind::InvalidArgument, name, "a tensor", "NULL");
  if (tensor->device.device_type != device.type ||
      (device.id >= 0 && tensor->device.device_id != device.id))
    return shapeError(name + ".device", deviceText(device.type, device.id),
                      deviceText(tensor->device.device_type, tensor->device.device_id));
  if (device.type != kDLCPU)
    device.id = tensor->device.device_id;
  NYSJIT_RETURN_IF_ERROR(bindDtype(argument, *tensor, values));
  NYSJIT_RETURN_IF_ERROR(bindShape(argument, *tensor, values));
  return bindStrides(argument, *tensor, values);
}

Status TensorBinder::bindDtype(const Argument &argument, const DLTensor &tensor,
                               int64_t *values) const {
  for (size_t i = 0; i < argument.types.size(); ++i)
    if (isSameDtype(argument.types[i], tensor.dtype)) {
      if (argument.dtypeSymbol != SIZE_MAX)
        values[argument.dtypeSymbol] = static_cast<int64_t>(i);
      return {};
    }
  std::string names;
  for (const std::string &dtype : argument.dtypes)
    names += (names.empty() ? "" : " or ") + dtype;
  return shapeError(argument.name + ".dtype", names, dtypeText(tensor.dtype));
}

Status TensorBinder::bindShape(const Argument &argument, const DLTensor &tensor,
                               int64_t *values) const {
  const std::string &name = argument.name;
  const size_t rank = argument.shape.size();
  if (tensor.ndim < 0 || static_cast<size_t>(tensor.ndim) != rank)
    return shapeError(name + ".ndim",
                      std::to_string(rank) + (rank == 1 ? " dimension" : " dimensions"),
                      std::to_string(tensor.ndim));
  if (rank && !tensor.shape)
    return Error::mismatch(ErrorKind::InvalidArgument, name + ".shape",
                           std::to_string(rank) + " extents", "NULL");
  for (size_t i = 0; i < rank; ++i) {
    if (tensor.shape[i] < 0)
      return shapeError(element(argument, "shape", i, values), "an extent of at least 0",
                        std::to_string(tensor.shape[i]));
    if (!agrees(argument.shape[i], tensor.shape[i], values))
      return disagreement(argument, "shape", i, argument.shape[i], tensor.shape[i], values);
  }
  return {};
}

Status TensorBinder::bindStrides(const Argument &argument, const DLTensor &tensor,
                                 int64_t *values) const {
  TensorStrides strides;
  if (!strides.fill(tensor))
    return shapeError(argument.name + ".shape", "a tensor of less than 2^63 elements", "more");
  for (size_t i = 0; i < argument.strides.size(); ++i) {
    const Dimension &dimension = argument.strides[i];
    // A dimension of one element or none is never stepped over, whatever its stride says.
    const bool matters = tensor.shape[i] > 1 && !strides.isEmpty;
    if ((dimension.binds || matters) && !agrees(dimension, strides.values[i], values))
      return disagreement(argument, "strides", i, dimension, strides.values[i], values);
  }
  return {};
}

/// The caller passes offsets of packed sequences.
bool TensorBinder::arePacked(const DLTensor *const *given) const {
  const DLTensor *offsets = sequences.offsets == SIZE_MAX ? nullptr : given[sequences.offsets];
  const bool isEmpty = offsets && offsets->ndim == 1 && offsets->shape && offsets->shape[0] == 0;
  return offsets && !isEmpty;
}

/// A tensor of rows has the rank that goes with the offsets, and a shape that can be looked at.
Status TensorBinder::checkPacking(size_t number, bool isPacked,
                                  const DLTensor *const *given) const {
  const Argument &argument = arguments[number];
  const DLTensor *tensor = given[number];
  if (!tensor)
    return {};
  if (sequences.offsets != SIZE_MAX && tensor->ndim != (arePacked(given) ? 3 : 4)) {
    const std::string &offsets = arguments[sequences.offsets].name;
    if (tensor->ndim == 3 && given[sequences.offsets]) // offsets without elements
      return shapeError(offsets,
                        "B + 1 numbers with packed tensors [total, H, d], none with others", "0");
    return shapeError(argument.name + ".ndim",
                      arePacked(given) ? "3 dimensions, as " + offsets + " packs the sequences"
                                       : "4 dimensions, or 3 of sequences packed by " + offsets,
                      std::to_string(tensor->ndim));
  }
  if (tensor->ndim != 3 || isPacked)
    return {};
  if (!tensor->shape)
    return Error::mismatch(ErrorKind::InvalidArgument, argument.name + ".shape", "3 extents",
                           "NULL");
  return shapeError(argument.name + ".shape", "a tensor of less than 2^63 elements", "more");
}

/// All tensors are of packed sequences, or none is.
Status TensorBinder::bindPacked(size_t number, bool isPacked, const DLTensor *given,
                                int64_t *values) const {
  const Argument &argument = arguments[number];
  if (argument.bindsPacked)
    values[argument.packedSymbol] = isPacked;
  else if (given && values[argument.packedSymbol] != isPacked)
    return shapeError(argument.name + ".ndim",
                      std::to_string(values[argument.packedSymbol] ? 3 : 4) +
                          " dimensions, as q has",
                      std::to_string(given->ndim));
  return {};
}

/// The tensor's address and alignment, and where its elements lie. bindOne has checked the rest.
Status TensorBinder::bindAddress(const Argument &argument, const DLTensor *tensor, int64_t *values,
                                 void *&address, AddressRange &range) const {
  address = nullptr;
  TensorStrides strides;
  if (tensor) {
    address = reinterpret_cast<void *>(addressOf(*tensor));
    (void)strides.fill(*tensor);
  }
  if (argument.alignmentSymbol != SIZE_MAX)
    values[argument.alignmentSymbol] = tensor ? alignmentOf(*tensor, strides) : maxTensorAlignment;
  if (!tensor || strides.isEmpty)
    return {};
  if (!tensor->data)
    return Error::mismatch(ErrorKind::InvalidArgument, argument.name + ".data",
                           "the tensor's elements", "NULL");
  const uint64_t bytes = tensor->dtype.bits / 8;
  if (addressOf(*tensor) % bytes != 0)
    return shapeError(argument.name + ".data",
                      "an address that is a multiple of " + std::to_string(bytes),
                      "one that is not");
  if (!addressRange(*tensor, strides, range))
    return shapeError(argument.name + ".strides", "elements within the address space",
                      "strides that leave it");
  if (!argument.isOutput || !overlapsItself(*tensor, strides))
    return {};
  const std::string expected = "an output whose elements do not overlap";
  const int64_t columns = tensor->shape[tensor->ndim - 1];
  for (int i = 0; i + 1 < tensor->ndim; ++i) // rows closer than a row is long
    if (tensor->shape[i] > 1 && strides.values[i] < columns && strides.values[i] > -columns)
      return shapeError(element(argument, "strides", size_t(i), values), expected,
                        std::to_string(strides.values[i]));
  return shapeError(
      argument.name + ".strides", expected,
      stridesText(strides, isPackedTensor(argument.packedSymbol, values), tensor->ndim));
}

/// Interleaved tensors have overlapping ranges without sharing an element: they are fine.
Status TensorBinder::checkOverlaps(const DLTensor *const *tensors,
                                   const AddressRange *ranges) const {
  for (size_t a = 0; a < arguments.size(); ++a)
    for (size_t b = 0; arguments[a].isOutput && b < arguments.size(); ++b) {
      if (a == b || (arguments[b].isOutput && b < a) || !ranges[a].meets(ranges[b]))
        continue;
      TensorStrides ofA;
      TensorStrides ofB;
      (void)ofA.fill(*tensors[a]);
      (void)ofB.fill(*tensors[b]);
      if (overlaps(*tensors[a], ofA, *tensors[b], ofB))
        return shapeError(arguments[a].name, "an output that does not overlap " + arguments[b].name,
                          "one that does");
    }
  return {};
}

Status TensorBinder::checkApart(const DLTensor *const *tensors, const char *name,
                                AddressRange memory) const {
  int64_t bytes[] = {static_cast<int64_t>(memory.end - memory.begin)};
  DLTensor block = {};
  block.data = reinterpret_cast<void *>(memory.begin);
  block.ndim = 1;
  block.dtype = {kDLUInt, 8, 1};
  block.shape = bytes;
  TensorStrides ofBlock;
  (void)ofBlock.fill(block);
  for (size_t a = 0; a < arguments.size(); ++a) {
    TensorStrides strides;
    AddressRange range;
    const DLTensor *tensor = tensors[a];
    if (tensor && strides.fill(*tensor) && !strides.isEmpty &&
        addressRange(*tensor, strides, range) && memory.meets(range) &&
        overlaps(block, ofBlock, *tensor, strides))
      return Error::mismatch(ErrorKind::InvalidArgument, name,
                             "memory that does not overlap " + arguments[a].name,
                             "memory that does");
  }
  return {};
}

Status TensorBinder::bind(const DLTensor *const *given, TensorDevice device, int64_t maxLength,
                          int64_t *values, void **addresses, bool sizesOnly) const {
  UnpackedTensor unpacked[maxPlanArguments];
  const DLTensor *tensors[maxPlanArguments];
  AddressRange ranges[maxPlanArguments];
  for (size_t a = 0; a < arguments.size(); ++a) {
    const Argument &argument = arguments[a];
    tensors[a] = given[a];
    if (argument.packedSymbol != SIZE_MAX) {
      tensors[a] = unpacked[a].of(given[a]);
      NYSJIT_RETURN_IF_ERROR(checkPacking(a, unpacked[a].isPacked, given));
      NYSJIT_RETURN_IF_ERROR(bindPacked(a, unpacked[a].isPacked, given[a], values));
    }
    NYSJIT_RETURN_IF_ERROR(bindOne(argument, tensors[a], device, values));
    if (!sizesOnly)
      NYSJIT_RETURN_IF_ERROR(bindAddress(argument, tensors[a], values, addresses[a], ranges[a]));
  }
  if (sequences.rows != SIZE_MAX)
    NYSJIT_RETURN_IF_ERROR(bindSequences(tensors, device, maxLength, values));
  return sizesOnly ? Status() : checkOverlaps(tensors, ranges);
}

} // namespace nysjit
