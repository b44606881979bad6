// The lab on a GPU, or on the PTX emulator, which has no time but counts: what a run takes there is
// a model's word (emulator_model.h).
#pragma once
#include "runtime/gpu/gpu_clock.h"
#include "runtime/gpu/gpu_timer.h"
#include "runtime/tune/runtime_lab.h"

#include <map>

namespace nysjit::tune {

class GpuLab final : public RuntimeLab {
public:
  /// On the device of `file`: cuda or ptx-emulator. `file` and `isEnding` outlive the lab.
  /// Unavailable where the device is not there or does not run the target.
  static Result<std::unique_ptr<Lab>> create(const KernelSpec &spec, const TuneFile &file,
                                             const std::atomic<int> &isEnding,
                                             const LabOptions &options);

  void release(size_t program) override;
  Result<RunTime> run(size_t program, size_t shape) override;
  void beginSeries(const std::string &name) override;
  Json conditions() override;
  Status usable() override;

private:
  using Key = std::pair<size_t, size_t>; // program, shape
  /// The tensors of a shape in the device's memory.
  struct Tensors {
    std::vector<std::unique_ptr<GpuTensor>> all;
    nysjit_run_args args{};
    SavedMemory saved;
  };
  using RuntimeLab::RuntimeLab;
  Status openGpu(DeviceKind kind);
  Result<std::unique_ptr<Tensors>> tensorsOf(size_t shape);
  Result<const std::vector<std::unique_ptr<Tensors>> *> setsOf(size_t shape);
  Status launch(size_t program, const Tensors &tensors, const LaunchObserver *observer = nullptr);
  Status finish();
  Result<RunTime> measure(size_t program, size_t shape);
  Result<RunTime> model(size_t program, size_t shape);
  Status warmUp(size_t program, size_t shape);
  Result<const GpuGraph *> graphOf(size_t program, size_t shape);
  Result<std::vector<RunOutput>> outputsOf(size_t program) override;
  void noteClock();

  std::unique_ptr<GpuSession> session; // of the context's device
  std::unique_ptr<GpuStream> stream;
  std::optional<GpuClock> clock;
  int capability = 0; // of the target
  std::vector<std::vector<std::unique_ptr<Tensors>>>
      sets; // by shape; several where caches are cold
  std::map<Key, std::unique_ptr<GpuGraph>> graphs;
  std::map<Key, RunTime> models;
  bool isWarm = false;
  std::optional<std::pair<int, int>> megahertz; // least and most of the series
};

/// A lab for the device of `file`.
Result<std::unique_ptr<Lab>> createLab(const KernelSpec &spec, const TuneFile &file, int threads,
                                       const std::atomic<int> &isEnding, const LabOptions &options);

} // namespace nysjit::tune
