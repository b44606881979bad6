// A compiler worker for tests without LLVM: speaks wire.h and answers every compile with the
// kernels of fake_kernels.c. For a cuda target it gives the same kernels a block and shared memory,
// and PTX and cubin that a fake driver takes for them. Environment: FAKE_WORKER_COUNT, a file that
// gets one byte a compile, FAKE_WORKER_LOG, one that gets its head_dim as a line, FAKE_WORKER_PID,
// one that gets the process id, FAKE_WORKER_PTX, the PTX of a real one, and FAKE_WORKER_MODE: how
// it misbehaves, see `misbehave`.
#include "runtime/base/tool.h"
#include "runtime/plan/plan.h"
#include "runtime/worker/supervisor.h"
#include "runtime/worker/wire.h"
#include "tests/runtime/temporary_folder.h"

#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <iostream>
#include <thread>
#include <unistd.h>

using namespace nysjit;

namespace {

constexpr int socketFile = 3;

std::string setting(const char *name) {
  const char *value = getenv(name);
  return value ? value : "";
}

Expression symbol(const std::string &name) { return Expression::symbol(name); }

/// o = scale * q + row sums of q, for float32 [B, Hq, n, d]; k and v are only checked.
/// "row_sum" over q into `sums`.
PlanKernel rowSum(const Expression &d) {
  PlanKernel kernel{"row_sum",
                    2048,
                    {{"q", ParameterType::Pointer, "q", {}},
                     {"sums", ParameterType::Pointer, "sums", {}},
                     {"Hq", ParameterType::I32, "", symbol("Hq")},
                     {"n", ParameterType::I64, "", symbol("n")},
                     {"d", ParameterType::I32, "", d}}};
  for (const char *stride : {"q_stride_0", "q_stride_1", "q_stride_2"})
    kernel.parameters.push_back({stride, ParameterType::I64, "", symbol(stride)});
  return kernel;
}

Plan planFor(const Json &request) {
  const Expression B = symbol("B");
  const Expression Hq = symbol("Hq");
  const Expression Hkv = symbol("Hkv");
  const Expression n = symbol("n");
  const Expression d(request["spec"]["head_dim"].get<int64_t>());
  Plan plan;
  plan.layout = request["spec"]["layout"].text();
  plan.target = request["target"].text();
  plan.specJson = request["spec"].dump();
  const auto argument = [&](const std::string &name, const Expression &heads,
                            std::vector<std::string> dtypes) {
    plan.arguments.push_back({name,
                              name == "o",
                              std::move(dtypes),
                              name == "o" ? "o_dtype" : "",
                              {B, heads, n, d},
                              {symbol(name + "_stride_0"), symbol(name + "_stride_1"),
                               symbol(name + "_stride_2"), Expression(1)}});
  };
  argument("q", Hq, {"float32"});
  argument("k", Hkv, {"float32"});
  argument("v", Hkv, {"float32"});
  argument("o", Hq, {"float32", "bfloat16"});
  const Expression pairs = Expression::make(Operator::Mul, {B, Hq});
  plan.preconditions = {{Expression::make(Operator::Le, {n, Expression(1000)}), "q",
                         "a length of at most 1000", "{n} of {Hq} heads"}};
  plan.buffers = {
      {"sums", Expression::make(Operator::Mul,
                                {Expression::make(Operator::Mul, {pairs, n}), Expression(4)})}};
  PlanKernel sum = rowSum(d);
  PlanKernel copy = sum;
  copy.name = "scaled_copy";
  copy.parameters.push_back({"o", ParameterType::Pointer, "o", {}});
  for (const char *stride : {"o_stride_0", "o_stride_1", "o_stride_2"})
    copy.parameters.push_back({stride, ParameterType::I64, "", symbol(stride)});
  copy.parameters.push_back({"scale", ParameterType::F32, "", {}});
  copy.parameters.push_back({"o_dtype", ParameterType::I32, "", symbol("o_dtype")});
  if (plan.target.starts_with("cuda:")) {
    for (PlanKernel *kernel : {&sum, &copy}) {
      kernel->scratchBytes = 0;
      kernel->blockThreads = 32;
      kernel->mayOverlap = !setting("FAKE_WORKER_OVERLAP").empty();
    }
    copy.sharedBytes = 64 << 10; // more than there is without asking
  }
  plan.kernels = {sum, copy};
  // The last one never runs.
  plan.launches = {{"row_sum", pairs, Expression(1)},
                   {"scaled_copy", pairs, n},
                   {"row_sum", pairs, Expression(0)}};
  return plan;
}

void appendTo(const std::string &path, const std::string &bytes) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  (void)!write(file, bytes.data(), bytes.size());
  close(file);
}

/// Before the answer: "abort", "exit", "garbage" (bytes that are no frame), "hang" (with a
/// ScratchFolder), "hang-with-child" (which hangs, too, in a session of its own), "sleep-MS",
/// "once-PATH" (killed the first time, as the file at PATH remembers). After: changes the answer
/// ("no-blobs", "bad-plan", "bad-object", "bad-ptx", "no-ptx", "note", "lasting-note", "cpu-plan",
/// "refuse", "refuse-config" (all but the defaults), "odd-status").
void misbehave(const std::string &mode, Message &reply) {
  if (mode == "abort") {
    std::cerr << "something the compiler said\nLLVM ERROR: out of patience" << std::endl;
    std::abort();
  }
  if (mode == "exit")
    _exit(3);
  if (mode == "garbage")
    (void)!write(socketFile, std::string(4096, 'x').data(), 4096);
  if (mode == "hang-with-child" && fork() == 0) {
    setsid();
    appendTo(setting("FAKE_WORKER_PID"), std::to_string(getpid()) + "\n");
    pause();
  }
  if (mode.starts_with("hang")) {
    const Result<ScratchFolder> folder = ScratchFolder::create();
    if (folder && folder->write("half", "done"))
      pause();
  }
  if (mode.rfind("sleep-", 0) == 0)
    std::this_thread::sleep_for(std::chrono::milliseconds(std::stoi(mode.substr(6))));
  if (mode.rfind("once-", 0) == 0 && access(mode.substr(5).c_str(), F_OK) != 0) {
    appendTo(mode.substr(5), "x");
    raise(SIGKILL);
  }
  if (mode == "no-blobs")
    reply.blobs.clear();
  if (mode == "bad-plan")
    reply.blobs[0] = "{\"schema\":1}";
  if (mode == "bad-object")
    reply.blobs[1] = "not a shared object";
  if (mode == "bad-ptx")
    reply.blobs[2] = "not PTX";
  if (mode == "note" || mode == "lasting-note") {
    reply.header["note"] = "no cubin, and why";
    reply.header["is_note_lasting"] = mode == "lasting-note";
  }
  if (mode == "no-ptx")
    reply.blobs[2] = "";
  if (mode == "cpu-plan") {
    const size_t at = reply.blobs[0].find("cuda:sm_");
    reply.blobs[0].replace(at, 10, "cpu:native");
  }
  if (mode == "odd-status")
    reply.header["status"] = "perhaps";
  if (mode == "refuse" ||
      (mode == "refuse-config" && !std::as_const(reply.header)["config"].empty()))
    reply = {{{"status", "error"},
              {"error", errorToJson(Error::mismatch(ErrorKind::InvalidKey, "nonsense",
                                                    "a kernel of causal", "'nonsense'"))}},
             {}};
}

void answer(const Json &request, Message &reply) {
  reply.blobs = {planToJson(planFor(request))};
  if (!request["target"].get<std::string>().starts_with("cuda:")) {
    reply.blobs.push_back(readAll(FAKE_KERNELS));
    return;
  }
  const std::string assembler =
      request.contains("assembler") ? request["assembler"].text() : std::string();
  reply.header["kernels"] = Json::array({{{"name", "row_sum"}, {"assembler", assembler}}});
  reply.blobs.push_back(assembler.empty() ? ""
                                          : "\x7f"
                                            "ELF, a cubin");
  const std::string ptx = setting("FAKE_WORKER_PTX");
  reply.blobs.push_back(ptx.empty() ? ".version 7.0\n.target sm_80\n" : readAll(ptx));
}

} // namespace

int main() {
  superviseWorker(socketFile);
  if (!setting("FAKE_WORKER_PID").empty())
    appendTo(setting("FAKE_WORKER_PID"), std::to_string(getpid()) + "\n");
  for (bool isFirst = true; awaitRequest(socketFile, isFirst); isFirst = false) {
    Result<Message> request = receiveMessage(socketFile, -1);
    if (!request)
      return 0;
    if (!setting("FAKE_WORKER_COUNT").empty())
      appendTo(setting("FAKE_WORKER_COUNT"), "x");
    if (!setting("FAKE_WORKER_LOG").empty())
      appendTo(setting("FAKE_WORKER_LOG"), request->header["spec"]["head_dim"].dump() + "\n");
    Message reply;
    reply.header = {{"status", "ok"},
                    {"stages_ms", Json{{"fake", 1.5}}},
                    {"config", std::as_const(request->header)["config"]},
                    {"kernels", Json::array()}};
    if (request->header.contains("emit"))
      reply.blobs = {"stage " + request->header["emit"].get<std::string>() +
                     (request->blobs.empty() ? "" : " from " + request->blobs[0])};
    else
      answer(request->header, reply);
    misbehave(setting("FAKE_WORKER_MODE"), reply);
    if (!sendMessage(socketFile, reply))
      return 1;
  }
}
