// Copying inputs to the device, and the output back.
#include "bench/gpu_day/arguments.h"

namespace nysjit::gpu_day {

using conformance::Inputs;
using conformance::makeIntegers;
using conformance::makeTensor;
using conformance::Tensor;

Result<std::unique_ptr<Arguments>> Arguments::create(const Session &session, const Inputs &in,
                                                     const std::string &dtype) {
  std::unique_ptr<Arguments> arguments(new Arguments(session, static_cast<float>(in.scale)));
  NYSJIT_RETURN_IF_ERROR(arguments->passAll(in, dtype));
  return arguments;
}

Status Arguments::passAll(const Inputs &in, const std::string &dtype) {
  args.size = sizeof args;
  args.scale = &scale;
  args.max_length = in.maxLength;
  for (const auto &[field, numbers, heads] : {std::tuple(&nysjit_run_args::q, &in.q, in.queryHeads),
                                              {&nysjit_run_args::k, &in.k, in.keyHeads},
                                              {&nysjit_run_args::v, &in.v, in.keyHeads}})
    NYSJIT_RETURN_IF_ERROR(pass(field, makeTensor(*numbers, in.shapeOf(heads), dtype)));
  for (const auto &[field, numbers, heads] :
       {std::tuple(&nysjit_run_args::landmark_q, &in.landmarkQ, in.queryHeads),
        {&nysjit_run_args::landmark_k, &in.landmarkK, in.keyHeads}})
    if (!numbers->empty())
      NYSJIT_RETURN_IF_ERROR(
          pass(field, makeTensor(*numbers,
                                 {heads, static_cast<int64_t>(numbers->size()) / heads / in.headDim,
                                  in.headDim},
                                 dtype)));
  if (!in.conv.empty())
    NYSJIT_RETURN_IF_ERROR(pass(
        &nysjit_run_args::conv,
        makeTensor(in.conv, {in.queryHeads, static_cast<int64_t>(in.conv.size()) / in.queryHeads},
                   dtype)));
  for (const auto &[field, numbers] : {std::pair(&nysjit_run_args::cu_seqlens, &in.cuSeqlens),
                                       {&nysjit_run_args::seqlens, &in.seqlens},
                                       {&nysjit_run_args::seq_starts, &in.starts},
                                       {&nysjit_run_args::source_len, &in.sourceLen}})
    if (!numbers->empty())
      NYSJIT_RETURN_IF_ERROR(pass(field, makeIntegers(*numbers)));
  const std::vector<double> unwritten(in.q.size(), NAN);
  return pass(&nysjit_run_args::o, makeTensor(unwritten, in.shapeOf(in.queryHeads), "float32"));
}

Status Arguments::pass(Field field, Tensor made) {
  Tensor &tensor = tensors.emplace_back(std::move(made));
  Result<std::unique_ptr<DeviceMemory>> bytes =
      DeviceMemory::allocate(session.driver(), tensor.bytes.size());
  NYSJIT_RETURN_IF_ERROR(bytes);
  NYSJIT_RETURN_IF_ERROR((*bytes)->write(tensor.bytes.data(), tensor.bytes.size()));
  DLTensor &view = views.emplace_back(tensor.view());
  view.data = reinterpret_cast<void *>((*bytes)->address);
  view.device = {kDLCUDA, 0};
  memory.push_back(std::move(*bytes));
  args.*field = &view;
  return {};
}

Result<std::vector<double>> Arguments::run(const nysjit_program *program) {
  Tensor &o = tensors.back();
  std::fill(o.bytes.begin(), o.bytes.end(), char(0xff));
  NYSJIT_RETURN_IF_ERROR(memory.back()->write(o.bytes.data(), o.bytes.size()));
  NYSJIT_RETURN_IF_ERROR(session.run(program, args));
  NYSJIT_RETURN_IF_ERROR(session.synchronize());
  NYSJIT_RETURN_IF_ERROR(memory.back()->read(o.bytes.data(), o.bytes.size()));
  return conformance::numbersOf(o);
}

} // namespace nysjit::gpu_day
