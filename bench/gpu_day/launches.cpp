// What launches cost: the host's time of a call, launches that overlap and that do not, graphs.
#include "bench/gpu_day/apart.h"
#include "bench/gpu_day/kernels.h"
#include "bench/gpu_day/steps.h"
#include "bench/gpu_day/timed_run.h"
#include "runtime/device/cuda_program.h"
#include "runtime/gpu/gpu_kernel.h"

#include <chrono>
#include <cmath>

namespace nysjit::gpu_day {

using nlohmann::json;

namespace {

/// The median host time of a call in microseconds, of calls that fit the device's queue.
Result<double> hostUs(const Session &session, int rounds, const std::function<Status()> &enqueue) {
  std::vector<double> times;
  NYSJIT_RETURN_IF_ERROR(enqueue());
  const int calls = 32;
  for (int round = 0; round < rounds; ++round) {
    NYSJIT_RETURN_IF_ERROR(session.synchronize());
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < calls; ++i)
      NYSJIT_RETURN_IF_ERROR(enqueue());
    const std::chrono::duration<double, std::micro> taken =
        std::chrono::steady_clock::now() - start;
    times.push_back(taken.count() / calls);
  }
  NYSJIT_RETURN_IF_ERROR(session.synchronize());
  return median(times);
}

Status hostTimes(const Options &options, const Session &session, const Records &records,
                 const TimedCase &one) {
  const int rounds = options.isSmall ? 1 : 200;
  Result<std::unique_ptr<GpuKernel>> nothing =
      GpuKernel::load(session.driver(), nothingPtx, "nothing");
  NYSJIT_RETURN_IF_ERROR(nothing);
  Result<double> bare =
      hostUs(session, rounds, [&] { return (*nothing)->launch(session.stream, 1, 32, {}); });
  NYSJIT_RETURN_IF_ERROR(bare);
  Result<std::unique_ptr<TimedRun>> run = TimedRun::create(session, one);
  NYSJIT_RETURN_IF_ERROR(run);
  std::vector<nysjit_launch_timing> launches;
  NYSJIT_RETURN_IF_ERROR((*run)->enqueue(&launches));
  Result<double> call = hostUs(session, rounds, [&] { return (*run)->enqueue(); });
  NYSJIT_RETURN_IF_ERROR(call);
  records.add("launch", {{"launch", "host"},
                         {"case", one.name},
                         {"launches", launches.size()},
                         {"us", *call},
                         {"bare_us", *bare}});
  return {};
}

/// The program of a run again, its kernels launched behind one another, or overlapped as the plan
/// says that they may. The library has no switch for it; this asks its own classes.
class OwnProgram {
public:
  static Result<std::unique_ptr<OwnProgram>> load(const TimedRun &run, DeviceKind kind,
                                                  bool mayOverlap) {
    std::unique_ptr<OwnProgram> own(new OwnProgram);
    nysjit_program_info info = {};
    info.size = sizeof info;
    if (nysjit_program_get_info(run.handle(), &info) != NYSJIT_OK)
      return lastError();
    own->ptx = info.ptx ? info.ptx : "";
    own->cubin.assign(static_cast<const char *>(info.object), info.object_size);
    Result<Plan> plan = planFromJson(info.plan_json);
    NYSJIT_RETURN_IF_ERROR(plan);
    for (PlanKernel &kernel : plan->kernels)
      kernel.mayOverlap = kernel.mayOverlap && mayOverlap;
    Result<std::shared_ptr<CudaDevice>> device = CudaDevice::open(kind);
    NYSJIT_RETURN_IF_ERROR(device);
    Result<std::unique_ptr<CudaProgram>> program =
        CudaProgram::load(std::move(*plan), own->cubin, own->ptx, *device);
    NYSJIT_RETURN_IF_ERROR(program);
    own->program = std::move(*program);
    return own;
  }

  int overlapping() const {
    int count = 0;
    for (const PlanKernel &kernel : program->plan().kernels)
      count += kernel.mayOverlap;
    return count;
  }

  Status enqueue(const Session &session, const nysjit_run_args &args) const {
    const std::map<std::string, const DLTensor *> passed = {
        {"q", args.q}, {"k", args.k}, {"v", args.v}, {"o", args.o}};
    std::vector<const DLTensor *> tensors;
    for (const PlanArgument &argument : program->plan().arguments) {
      const auto found = passed.find(argument.name);
      tensors.push_back(found == passed.end() ? nullptr : found->second);
    }
    ProgramRun run;
    run.tensors = tensors.data();
    run.scale = 1 / std::sqrt(static_cast<float>(args.q->shape[3]));
    run.stream = session.stream;
    return program->run(run);
  }

private:
  OwnProgram() = default;
  std::string cubin;
  std::string ptx;
  std::unique_ptr<CudaProgram> program;
};

Status overlaps(const Options &options, const Session &session, const Records &records,
                const TimedCase &one) {
  Result<std::unique_ptr<TimedRun>> run = TimedRun::create(session, one);
  NYSJIT_RETURN_IF_ERROR(run);
  const nysjit_run_args args = (*run)->arguments();
  double ms[2] = {};
  std::vector<char> outputs[2];
  int overlapping = 0;
  for (const bool mayOverlap : {false, true}) {
    Result<std::unique_ptr<OwnProgram>> own = OwnProgram::load(
        **run, session.isEmulator() ? DeviceKind::PtxEmulator : DeviceKind::Cuda, mayOverlap);
    NYSJIT_RETURN_IF_ERROR(own);
    overlapping = (*own)->overlapping();
    const auto enqueue = [&] { return (*own)->enqueue(session, args); };
    Result<double> time = session.medianMs(options.seconds, enqueue);
    NYSJIT_RETURN_IF_ERROR(time);
    ms[mayOverlap] = *time;
    NYSJIT_RETURN_IF_ERROR((*run)->clearOutput());
    NYSJIT_RETURN_IF_ERROR(enqueue());
    NYSJIT_RETURN_IF_ERROR((*run)->lastHead(outputs[mayOverlap]));
  }
  records.add("launch", {{"launch", "overlap"},
                         {"case", one.name},
                         {"kernels", overlapping},
                         {"off_ms", ms[0]},
                         {"on_ms", ms[1]}});
  records.add("check", {{"check", "overlapped launches' bits"},
                        {"case", one.name},
                        {"layout", one.spec["layout"]},
                        {"passed", outputs[0] == outputs[1]},
                        {"found", outputs[0] == outputs[1] ? 0 : 1}});
  return {};
}

struct GraphParts {
  explicit GraphParts(const CudaSymbols &api) : api(api) {}
  ~GraphParts() {
    if (executable)
      (void)api.cuGraphExecDestroy(executable);
    if (graph)
      (void)api.cuGraphDestroy(graph);
  }
  const CudaSymbols &api;
  CUgraph graph = nullptr;
  CUgraphExec executable = nullptr;
};

Status capture(const Session &session, const TimedRun &run, GraphParts &parts) {
  const CudaDriver &driver = session.driver();
  NYSJIT_RETURN_IF_ERROR(driver.check(
      parts.api.cuStreamBeginCapture(session.stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL),
      "cuStreamBeginCapture"));
  const Status enqueued = run.enqueue();
  NYSJIT_RETURN_IF_ERROR(driver.check(parts.api.cuStreamEndCapture(session.stream, &parts.graph),
                                      "cuStreamEndCapture"));
  NYSJIT_RETURN_IF_ERROR(enqueued.ok() ? Status() : Status(enqueued.error()));
  return driver.check(parts.api.cuGraphInstantiate(&parts.executable, parts.graph, 0),
                      "cuGraphInstantiateWithFlags");
}

Status graphs(const Options &options, const Session &session, const Records &records,
              const TimedCase &one) {
  Result<std::unique_ptr<TimedRun>> run = TimedRun::create(session, one);
  NYSJIT_RETURN_IF_ERROR(run);
  Result<double> direct = session.medianMs(options.seconds, [&] { return (*run)->enqueue(); });
  NYSJIT_RETURN_IF_ERROR(direct);
  std::vector<char> expected;
  NYSJIT_RETURN_IF_ERROR((*run)->lastHead(expected));
  GraphParts parts(session.api());
  NYSJIT_RETURN_IF_ERROR(capture(session, **run, parts));
  const auto replay = [&] {
    return session.driver().check(session.api().cuGraphLaunch(parts.executable, session.stream),
                                  "cuGraphLaunch");
  };
  NYSJIT_RETURN_IF_ERROR((*run)->clearOutput());
  Result<double> graph = session.medianMs(options.seconds, replay);
  NYSJIT_RETURN_IF_ERROR(graph);
  std::vector<char> replayed;
  NYSJIT_RETURN_IF_ERROR((*run)->lastHead(replayed));
  records.add(
      "launch",
      {{"launch", "graph"}, {"case", one.name}, {"direct_ms", *direct}, {"graph_ms", *graph}});
  records.add("check", {{"check", "graph's bits"},
                        {"case", one.name},
                        {"layout", one.spec["layout"]},
                        {"passed", expected == replayed},
                        {"found", expected == replayed ? 0 : 1}});
  return {};
}

struct Part {
  const char *name;
  Status (*measure)(const Options &, const Session &, const Records &, const TimedCase &);
};
constexpr Part parts[] = {{"host time", hostTimes}, {"overlap", overlaps}, {"graph", graphs}};

} // namespace

Status measureLaunches(const Options &options, const Records &records) {
  const std::vector<TimedCase> cases = launchCases(options.isSmall);
  const size_t count = std::size(parts);
  return runApart(
      options, records,
      {count * cases.size(),
       [&](size_t i) { return parts[i % count].name + (" of " + cases[i / count].name); },
       [&](const Session &session, size_t i) {
         return parts[i % count].measure(options, session, records, cases[i / count]);
       }});
}

} // namespace nysjit::gpu_day
