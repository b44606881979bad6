// Each tensor goes to the field that its row in the table of tensors names.
#include "runtime/cli/run_arguments.h"

namespace nysjit::cli {

Result<std::vector<RunOutput>> createOutputs(const TensorFiles &files) {
  std::vector<RunOutput> outputs;
  for (const TensorRow &row : tensorTable()) {
    const auto path = isOutput(row) ? files.find(row.name) : files.end();
    if (path == files.end())
      continue;
    Result<OutputFile> file = OutputFile::create(row.flag, path->second);
    NYSJIT_RETURN_IF_ERROR(file);
    for (const RunOutput &other : outputs)
      if (file->replaces(other.file))
        return Error::mismatch(ErrorKind::InvalidArgument, row.flag,
                               std::string("another file than ") + other.row->flag + " writes",
                               "\"" + path->second + "\"");
    outputs.push_back({&row, std::move(*file), {}});
  }
  return outputs;
}

Result<std::unique_ptr<RunArguments>> RunArguments::create(const Inputs &inputs,
                                                           const std::vector<RunOutput> &outputs,
                                                           const float &scale,
                                                           const GpuSession *gpu) {
  std::unique_ptr<RunArguments> result(new RunArguments);
  result->own.size = sizeof result->own;
  result->own.scale = &scale;
  result->own.max_length = inputs.maxLength;
  for (const RunOutput &output : outputs)
    NYSJIT_RETURN_IF_ERROR(result->add(*output.row, output.tensor, gpu));
  for (const auto &[name, tensor] : inputs.tensors)
    NYSJIT_RETURN_IF_ERROR(result->add(tensorRow(name), tensor, gpu));
  return result;
}

Status RunArguments::add(const TensorRow &row, const Tensor &tensor, const GpuSession *gpu) {
  const TensorView &view = views.emplace_back(tensor);
  if (!gpu) {
    own.*row.field = view.get();
    return {};
  }
  Result<std::unique_ptr<GpuTensor>> copy = GpuTensor::create(*gpu, *view.get());
  NYSJIT_RETURN_IF_ERROR(copy);
  own.*row.field = copies.emplace_back(std::move(*copy))->get();
  return {};
}

Status RunArguments::fetch(std::vector<RunOutput> &outputs) const {
  auto copy = copies.begin();
  for (RunOutput &output : outputs)
    if (copy != copies.end())
      NYSJIT_RETURN_IF_ERROR((*copy++)->copyTo(output.tensor.bytes.data()));
  return {};
}

} // namespace nysjit::cli
