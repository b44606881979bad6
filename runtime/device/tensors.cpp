// Tensor checks, in the order a caller would want to hear of them: there at all, device, dtype,
// rank, shape, strides, data, then outputs against everything else.
#include "runtime/device/tensors.h"

#include <algorithm>

namespace nysjit {

namespace {

struct DtypeRow {
  const char *name;
  DLDataType type;
};
constexpr DtypeRow dtypeTable[] = {{"float32", {kDLFloat, 32, 1}},
                                   {"float16", {kDLFloat, 16, 1}},
                                   {"bfloat16", {kDLBfloat, 16, 1}},
                                   {"int32", {kDLInt, 32, 1}}};

bool same(DLDataType a, DLDataType b) {
  return a.code == b.code && a.bits == b.bits && a.lanes == b.lanes;
}

std::string dtypeText(DLDataType type) {
  for (const DtypeRow &row : dtypeTable)
    if (same(row.type, type))
      return row.name;
  const char *codes[] = {"int", "uint", "float", "opaque", "bfloat", "complex"};
  std::string text =
      type.code < std::size(codes) ? codes[type.code] : "code " + std::to_string(type.code) + " ";
  text += std::to_string(type.bits);
  return type.lanes == 1 ? text : text + " with " + std::to_string(type.lanes) + " lanes";
}

std::string element(const std::string &name, const char *what, size_t index) {
  return name + "." + what + "[" + std::to_string(index) + "]";
}

Error shapeError(const std::string &where, const std::string &expected, const std::string &found) {
  return Error::mismatch(ErrorKind::InvalidShape, where, expected, found);
}

/// Strides of a tensor, filled in where the caller left them out.
struct Layout {
  int64_t strides[maxPlanRank];
  bool isEmpty = false;
};

/// A tensor as the plan sees it: rows of packed sequences, [n, H, d], as [1, H, n, d].
class Unpacked {
public:
  const DLTensor *of(const DLTensor *tensor) {
    if (!tensor || tensor->ndim != 3 || !tensor->shape)
      return tensor;
    const int64_t *s = tensor->shape;
    int64_t compact = 0;
    if (!tensor->strides && __builtin_mul_overflow(s[1], s[2], &compact))
      return tensor;
    const int64_t row = tensor->strides ? tensor->strides[0] : compact;
    const int64_t head = tensor->strides ? tensor->strides[1] : s[2];
    const int64_t newShape[] = {1, s[1], s[0], s[2]};
    const int64_t newStrides[] = {0, head, row, tensor->strides ? tensor->strides[2] : 1};
    std::copy_n(newShape, 4, shape);
    std::copy_n(newStrides, 4, strides);
    view = *tensor;
    view.ndim = 4;
    view.shape = shape;
    view.strides = strides;
    isPacked = true;
    return &view;
  }
  bool isPacked = false;

private:
  DLTensor view;
  int64_t shape[4];
  int64_t strides[4];
};

/// The addresses of a tensor's elements; false if they leave the address space.
bool addressRange(const DLTensor &tensor, const int64_t *strides, AddressRange &range) {
  __int128 low = 0, high = 0;
  for (int i = 0; i < tensor.ndim; ++i) {
    const __int128 reach = static_cast<__int128>(tensor.shape[i] - 1) * strides[i];
    (reach < 0 ? low : high) += reach;
  }
  const int64_t bytes = tensor.dtype.bits / 8;
  const __int128 base =
      static_cast<__int128>(reinterpret_cast<uintptr_t>(tensor.data)) + tensor.byte_offset;
  const __int128 begin = base + low * bytes, end = base + (high + 1) * bytes;
  if (begin < 0 || end > static_cast<__int128>(UINT64_MAX))
    return false;
  range = {static_cast<uint64_t>(begin), static_cast<uint64_t>(end)};
  return true;
}

bool fillLayout(const DLTensor &tensor, Layout &layout) {
  for (int i = 0; i < tensor.ndim; ++i)
    layout.isEmpty = layout.isEmpty || tensor.shape[i] == 0;
  int64_t stride = 1;
  for (int i = tensor.ndim; i-- > 0;) {
    layout.strides[i] = tensor.strides ? tensor.strides[i] : stride;
    if (__builtin_mul_overflow(stride, std::max<int64_t>(tensor.shape[i], 1), &stride) &&
        !tensor.strides)
      return false;
  }
  return true;
}

/// The largest power of two up to maxTensorAlignment that divides the address and the strides that
/// are stepped over. Rows always count: tiles reach, without touching it, beyond an only one.
int64_t alignmentOf(const DLTensor &tensor, const Layout &layout) {
  uint64_t bits = static_cast<uint64_t>(maxTensorAlignment);
  if (layout.isEmpty)
    return maxTensorAlignment;
  bits |= reinterpret_cast<uintptr_t>(tensor.data) + tensor.byte_offset;
  for (int i = 0; i + 1 < tensor.ndim; ++i)
    if (tensor.shape[i] > 1 || i + 2 == tensor.ndim)
      bits |= static_cast<uint64_t>(layout.strides[i]) * (tensor.dtype.bits / 8);
  return static_cast<int64_t>(bits & -bits); // the lowest bit that is set in any
}

std::string deviceText(int type, int id) {
  const std::string kind = type == kDLCPU    ? "CPU memory (kDLCPU)"
                           : type == kDLCUDA ? "GPU memory (kDLCUDA)"
                                             : "device type " + std::to_string(type);
  return type == kDLCPU || id < 0 ? kind : kind + " of device " + std::to_string(id);
}

/// Elements from first to last leave no gaps: then overlapping ranges are overlapping tensors.
bool isDense(const DLTensor &tensor, const AddressRange &range) {
  __int128 bytes = tensor.dtype.bits / 8;
  for (int i = 0; i < tensor.ndim; ++i)
    bytes = std::min<__int128>(bytes * tensor.shape[i], static_cast<__int128>(1) << 70);
  return bytes == static_cast<__int128>(range.end - range.begin);
}

} // namespace

TensorBinder::TensorBinder(const Plan &plan) : symbols(planSymbols(plan)) {
  const auto numberOf = [&](const std::string &name) {
    return static_cast<size_t>(std::find(symbols.begin(), symbols.end(), name) - symbols.begin());
  };
  std::vector<size_t> boundBy(symbols.size(), SIZE_MAX);
  for (size_t a = 0; a < plan.arguments.size(); ++a) {
    const PlanArgument &from = plan.arguments[a];
    Argument argument{from.name,
                      from.isOutput,
                      from.dtypes,
                      {},
                      !from.dtypeSymbol.empty(),
                      0,
                      SIZE_MAX,
                      from.isOptional,
                      SIZE_MAX,
                      false,
                      {},
                      {}};
    if (!from.packedSymbol.empty()) {
      argument.packedSymbol = numberOf(from.packedSymbol);
      argument.bindsPacked =
          std::none_of(arguments.begin(), arguments.end(),
                       [&](const Argument &a) { return a.packedSymbol != SIZE_MAX; });
    }
    for (const std::string &dtype : from.dtypes)
      for (const DtypeRow &row : dtypeTable)
        if (dtype == row.name)
          argument.types.push_back(row.type);
    if (argument.hasDtypeSymbol)
      argument.dtypeSymbol = numberOf(from.dtypeSymbol);
    if (!from.alignmentSymbol.empty())
      argument.alignmentSymbol = numberOf(from.alignmentSymbol);
    const auto dimensions = [&](const std::vector<Expression> &list, std::vector<Dimension> &out) {
      for (const Expression &e : list) {
        if (e.isConstant()) {
          out.push_back({true, e.constant(), 0, false, 0});
          continue;
        }
        const size_t symbol = numberOf(e.symbolName());
        const bool binds = boundBy[symbol] == SIZE_MAX;
        if (binds)
          boundBy[symbol] = a;
        out.push_back({false, 0, symbol, binds, boundBy[symbol]});
      }
    };
    dimensions(from.shape, argument.shape);
    dimensions(from.strides, argument.strides);
    arguments.push_back(std::move(argument));
  }
  const auto argumentOf = [&](const std::string &name) {
    const auto found =
        std::find_if(arguments.begin(), arguments.end(),
                     [&](const Argument &argument) { return argument.name == name; });
    return name.empty() ? SIZE_MAX : static_cast<size_t>(found - arguments.begin());
  };
  const PlanSequences &s = plan.sequences;
  sequences = {argumentOf(s.offsets),
               argumentOf(s.lengths),
               argumentOf(s.starts),
               argumentOf(s.sourceLengths),
               s.rows.empty() ? SIZE_MAX : numberOf(s.rows),
               s.rows.empty() ? SIZE_MAX : numberOf(s.maxLength)};
}

Error TensorBinder::disagreement(const Argument &argument, const char *what, size_t index,
                                 const Dimension &dimension, int64_t found,
                                 const int64_t *values) const {
  std::string text =
      std::to_string(dimension.isConstant ? dimension.constant : values[dimension.symbol]);
  if (!dimension.isConstant)
    text += " (" + symbols[dimension.symbol] + ", as in " +
            arguments[dimension.firstArgument].name + ")";
  return shapeError(element(argument.name, what, index), text, std::to_string(found));
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
  if (!tensor && argument.isOptional) {
    for (const Dimension &dimension : argument.shape)
      if (dimension.binds)
        values[dimension.symbol] = 0;
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

  bool known = false;
  for (size_t i = 0; i < argument.types.size() && !known; ++i) {
    known = same(argument.types[i], tensor->dtype);
    if (known && argument.hasDtypeSymbol)
      values[argument.dtypeSymbol] = static_cast<int64_t>(i);
  }
  if (!known) {
    std::string names;
    for (const std::string &dtype : argument.dtypes)
      names += (names.empty() ? "" : " or ") + dtype;
    return shapeError(name + ".dtype", names, dtypeText(tensor->dtype));
  }

  const size_t rank = argument.shape.size();
  if (tensor->ndim < 0 || static_cast<size_t>(tensor->ndim) != rank)
    return shapeError(name + ".ndim",
                      std::to_string(rank) + " dimensions" +
                          (argument.packedSymbol != SIZE_MAX ? ", or 3 of packed sequences" : ""),
                      std::to_string(tensor->ndim));
  if (rank && !tensor->shape)
    return Error::mismatch(ErrorKind::InvalidArgument, name + ".shape",
                           std::to_string(rank) + " extents", "NULL");
  for (size_t i = 0; i < rank; ++i) {
    if (tensor->shape[i] < 0)
      return shapeError(element(name, "shape", i), "an extent of at least 0",
                        std::to_string(tensor->shape[i]));
    if (!agrees(argument.shape[i], tensor->shape[i], values))
      return disagreement(argument, "shape", i, argument.shape[i], tensor->shape[i], values);
  }

  Layout layout;
  if (!fillLayout(*tensor, layout))
    return shapeError(name + ".shape", "a tensor of less than 2^63 elements", "more");
  for (size_t i = 0; i < rank; ++i) {
    const Dimension &dimension = argument.strides[i];
    // A dimension of one element or none is never stepped over, whatever its stride says.
    const bool matters = tensor->shape[i] > 1 && !layout.isEmpty;
    if ((dimension.binds || matters) && !agrees(dimension, layout.strides[i], values))
      return disagreement(argument, "strides", i, dimension, layout.strides[i], values);
  }
  return {};
}

namespace {

/// A vector of int32 in host memory, or nothing.
struct HostIntegers {
  const DLTensor *tensor = nullptr;
  int64_t count() const { return tensor->shape[0]; }
  int64_t operator[](int64_t i) const {
    const char *data = static_cast<const char *>(tensor->data) + tensor->byte_offset;
    return reinterpret_cast<const int32_t *>(data)[i * (tensor->strides ? tensor->strides[0] : 1)];
  }
  explicit operator bool() const { return tensor; }
};

Error valueError(const std::string &name, int64_t index, const std::string &expected,
                 int64_t found) {
  return shapeError(name + "[" + std::to_string(index) + "]", expected, std::to_string(found));
}

} // namespace

/// The longest sequence, and in host memory whether each lies in the tensors' rows.
Status TensorBinder::bindSequences(const DLTensor *const *tensors, TensorDevice device,
                                   int64_t maxLength, int64_t *values) const {
  const int64_t rows = values[sequences.rows];
  const auto isGiven = [&](size_t argument) {
    return argument != SIZE_MAX && tensors[argument] && tensors[argument]->shape[0] > 0;
  };
  const auto hostValues = [&](size_t argument) {
    return HostIntegers{isGiven(argument) && device.type == kDLCPU && tensors[argument]->data
                            ? tensors[argument]
                            : nullptr};
  };
  const bool isVariable = isGiven(sequences.offsets) || isGiven(sequences.lengths);
  if (maxLength < 0 || (maxLength > 0 && !isVariable))
    return Error::mismatch(ErrorKind::InvalidArgument, "max_length",
                           isVariable ? "at least 0" : "0 for sequences of one length",
                           std::to_string(maxLength));
  const int64_t most = maxLength > 0 ? std::min(maxLength, rows) : rows;
  values[sequences.maxLength] = isVariable ? most : rows;
  const HostIntegers offsets = hostValues(sequences.offsets);
  const HostIntegers lengths = hostValues(sequences.lengths);
  const HostIntegers starts = hostValues(sequences.starts);
  const HostIntegers sources = hostValues(sequences.sourceLengths);
  const std::string said = maxLength > 0 ? " (max_length)" : "";
  int64_t longest = 0;
  if (offsets) {
    const std::string &name = arguments[sequences.offsets].name;
    for (int64_t i = 0; i < offsets.count(); ++i)
      if (const int64_t least = i ? offsets[i - 1] : 0; offsets[i] < least || offsets[i] > rows)
        return valueError(name, i, std::to_string(least) + " to " + std::to_string(rows),
                          offsets[i]);
      else if (i && offsets[i] - least > most)
        return valueError(name, i,
                          "at most " + std::to_string(least + most) + ", " + std::to_string(most) +
                              said + " after the one before",
                          offsets[i]);
      else
        longest = i ? std::max(longest, offsets[i] - least) : 0;
  }
  if (lengths) {
    for (int64_t i = 0; i < lengths.count(); ++i) {
      const int64_t start = starts && i < starts.count() ? starts[i] : 0;
      if (lengths[i] < 0 || lengths[i] > most)
        return valueError(arguments[sequences.lengths].name, i,
                          "0 to " + std::to_string(most) + said, lengths[i]);
      if (start < 0 || start > rows - lengths[i])
        return valueError(arguments[sequences.starts].name, i,
                          "0 to " + std::to_string(rows - lengths[i]) + ", with a length of " +
                              std::to_string(lengths[i]),
                          start);
      longest = std::max(longest, lengths[i]);
    }
  }
  if (sources)
    for (int64_t i = 0; i < sources.count(); ++i) {
      const bool isKnown = offsets   ? i + 1 < offsets.count()
                           : lengths ? i < lengths.count()
                                     : !isVariable;
      const int64_t length = !isKnown  ? rows
                             : offsets ? offsets[i + 1] - offsets[i]
                             : lengths ? lengths[i]
                                       : rows;
      if (sources[i] < 0 || sources[i] > length)
        return valueError(arguments[sequences.sourceLengths].name, i,
                          "0 to its sequence's length, " + std::to_string(length), sources[i]);
    }
  if (isVariable && maxLength == 0 && (offsets || lengths))
    values[sequences.maxLength] = longest;
  return {};
}

Status TensorBinder::bind(const DLTensor *const *given, TensorDevice device, int64_t maxLength,
                          int64_t *values, void **addresses, bool sizesOnly) const {
  Unpacked unpacked[maxPlanArguments];
  const DLTensor *tensors[maxPlanArguments];
  AddressRange ranges[maxPlanArguments];
  bool dense[maxPlanArguments] = {};
  for (size_t a = 0; a < arguments.size(); ++a) {
    const Argument &argument = arguments[a];
    tensors[a] = argument.packedSymbol == SIZE_MAX ? given[a] : unpacked[a].of(given[a]);
    if (argument.packedSymbol != SIZE_MAX) {
      if (argument.bindsPacked)
        values[argument.packedSymbol] = unpacked[a].isPacked;
      else if (tensors[a] && values[argument.packedSymbol] != unpacked[a].isPacked)
        return shapeError(argument.name + ".ndim",
                          std::to_string(values[argument.packedSymbol] ? 3 : 4) +
                              " dimensions, as q has",
                          std::to_string(given[a]->ndim));
    }
    NYSJIT_RETURN_IF_ERROR(bindOne(argument, tensors[a], device, values));
    if (sizesOnly)
      continue;
    if (!tensors[a]) {
      addresses[a] = nullptr;
      if (argument.alignmentSymbol != SIZE_MAX)
        values[argument.alignmentSymbol] = maxTensorAlignment;
      continue;
    }
    const DLTensor &tensor = *tensors[a];
    addresses[a] =
        reinterpret_cast<void *>(reinterpret_cast<uintptr_t>(tensor.data) + tensor.byte_offset);
    Layout layout;
    (void)fillLayout(tensor, layout); // bindOne has checked it
    if (argument.alignmentSymbol != SIZE_MAX)
      values[argument.alignmentSymbol] = alignmentOf(tensor, layout);
    if (layout.isEmpty)
      continue;
    if (!tensor.data)
      return Error::mismatch(ErrorKind::InvalidArgument, argument.name + ".data",
                             "the tensor's elements", "NULL");
    const uint64_t bytes = tensor.dtype.bits / 8;
    if ((reinterpret_cast<uintptr_t>(tensor.data) + tensor.byte_offset) % bytes != 0)
      return shapeError(argument.name + ".data",
                        "an address that is a multiple of " + std::to_string(bytes),
                        "one that is not");
    if (!addressRange(tensor, layout.strides, ranges[a]))
      return shapeError(argument.name + ".strides", "elements within the address space",
                        "strides that leave it");
    dense[a] = isDense(tensor, ranges[a]);
    if (argument.isOutput)
      for (int i = 0; i + 1 < tensor.ndim; ++i) // rows closer than a row is long
        if (tensor.shape[i] > 1 && layout.strides[i] < tensor.shape[tensor.ndim - 1] &&
            layout.strides[i] > -tensor.shape[tensor.ndim - 1])
          return shapeError(element(argument.name, "strides", i),
                            "an output whose elements do not overlap",
                            std::to_string(layout.strides[i]));
  }
  if (sequences.rows != SIZE_MAX)
    NYSJIT_RETURN_IF_ERROR(bindSequences(tensors, device, maxLength, values));
  if (sizesOnly)
    return {};
  // Interleaved tensors have overlapping ranges without sharing an element; only what surely
  // overlaps is refused.
  for (size_t a = 0; a < arguments.size(); ++a)
    for (size_t b = 0; b < arguments.size(); ++b) {
      if (a == b || !arguments[a].isOutput || (arguments[b].isOutput && b < a))
        continue;
      const bool rangesMeet = ranges[a].begin < ranges[b].end && ranges[b].begin < ranges[a].end;
      if (rangesMeet && ((dense[a] && dense[b]) || addresses[a] == addresses[b]))
        return shapeError(arguments[a].name, "an output that does not overlap " + arguments[b].name,
                          "one that does");
    }
  return {};
}

} // namespace nysjit
