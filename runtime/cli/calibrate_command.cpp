// `nysjit calibrate`: queries in, probes out. What is wrong with the tensors the library says,
// under the flags' names.
#include "runtime/base/format.h"
#include "runtime/calibrate/calibrate.h"
#include "runtime/cli/commands.h"
#include "runtime/cli/files.h"
#include "runtime/cli/program.h"
#include "runtime/cli/progress.h"
#include "runtime/cli/tensors.h"
#include "runtime/spec/json_text.h"
#include "runtime/spec/lengths.h"
#include "runtime/spec/tensor_table.h"

#include <algorithm>
#include <cmath>
#include <list>

namespace nysjit::cli {

using nlohmann::json;

namespace {

/// The tensors of all files, and what the library is given of them.
struct LoadedQueries {
  std::list<Tensor> tensors;
  std::list<TensorView> views; // into tensors
  std::vector<nysjit_run_args> runs;
  int64_t heads = 0;
};

/// The query heads of a tensor of queries; nothing where its rank is none of theirs.
std::optional<int64_t> headsOf(const Tensor &q) {
  const size_t rank = q.shape.size();
  return rank == 3 || rank == 4 ? std::optional(q.shape[1]) : std::nullopt;
}

/// Lengths and offsets as the library has them, in 32 bits.
Result<Tensor> loadNumbers(const TensorRow &row, const std::string &path, const Tensor &q) {
  const bool isPadded = q.shape.size() == 4 && row.name != std::string_view("cu_seqlens");
  Result<std::vector<int64_t>> numbers = loadIntegers(row.flag, path, isPadded ? q.shape[0] : -1);
  NYSJIT_RETURN_IF_ERROR(numbers);
  for (size_t i = 0; i < numbers->size(); ++i)
    if ((*numbers)[i] != int32_t((*numbers)[i]))
      return shapeError(std::string(row.flag) + "[" + std::to_string(i) + "]",
                        "a number within the tensor's rows", std::to_string((*numbers)[i]));
  return Tensor::integers(*numbers);
}

Status load(const TensorFiles &files, DType dtype, LoadedQueries &loaded) {
  nysjit_run_args args = {};
  args.size = sizeof args;
  const auto add = [&](const char *name, Result<Tensor> tensor) -> Status {
    NYSJIT_RETURN_IF_ERROR(tensor);
    loaded.tensors.push_back(std::move(*tensor));
    args.*tensorRow(name).field = loaded.views.emplace_back(loaded.tensors.back()).get();
    return {};
  };
  NYSJIT_RETURN_IF_ERROR(add("q", loadTensor("--q", files.find("q")->second, dtype)));
  const Tensor &q = loaded.tensors.back();
  for (const auto &[name, path] : files)
    if (name != "q")
      NYSJIT_RETURN_IF_ERROR(add(name.c_str(), loadNumbers(tensorRow(name), path, q)));
  const std::optional<int64_t> heads = headsOf(q);
  if (heads && !loaded.runs.empty() && *heads != loaded.heads)
    return shapeError("--q", std::to_string(loaded.heads) + " query heads, as in the first file",
                      std::to_string(*heads));
  loaded.heads = heads.value_or(loaded.heads);
  loaded.runs.push_back(args);
  return {};
}

/// An error of one file, where there are several.
Error ofFile(const CalibrateOptions &options, size_t file, Error error) {
  return options.queries.size() == 1
             ? error
             : inFile(describeName(options.queries[file].find("q")->second), std::move(error));
}

/// "runs[1].q.shape[3]" is "--q.shape[3]" of the second file.
Error namedByFile(const CalibrateOptions &options, Error error) {
  const std::string prefix = "runs[";
  const size_t end = error.where.find("].");
  if (!error.where.starts_with(prefix) || end == std::string::npos)
    return error.where == "runs" ? Error::mismatch(error.kind, "--q", error.expected, error.found)
                                 : error;
  const size_t file = std::stoul(error.where.substr(prefix.size()));
  return ofFile(options, file,
                namedByFlag(Error::mismatch(error.kind, error.where.substr(end + 2), error.expected,
                                            error.found)));
}

/// The root of the mean square, of what it would be with one probe; 1 where that is 0.
double distanceLeft(const nysjit_calibrated_head &head) {
  return head.mean_square_of_one > 0 ? std::sqrt(head.mean_square / head.mean_square_of_one) : 1;
}

std::string reportText(const CalibrateOptions &options, const Tensor &probes,
                       const std::vector<nysjit_calibrated_head> &heads) {
  std::string text = "probes " + shapeText(probes.shape);
  if (!heads.empty()) {
    const auto [near, far] = std::ranges::minmax(heads, {}, distanceLeft);
    const int64_t rounds = std::ranges::max(heads, {}, &nysjit_calibrated_head::rounds).rounds;
    text += " from " + std::to_string(heads[0].queries) + " queries a head\n" +
            "  distance  from a query to the nearest probe " +
            format("%.2f to ", distanceLeft(near)) + format("%.2f", distanceLeft(far)) +
            " of that to their mean (root mean squares, by head)\n" + "  rounds    at most " +
            std::to_string(rounds);
  }
  return text + "\n  output    " + options.output + "\n";
}

json reportJson(const CalibrateOptions &options, const Tensor &probes,
                const std::vector<nysjit_calibrated_head> &heads) {
  json report = {{"probes", probes.shape}, {"seed", options.seed}, {"heads", json::array()}};
  for (const nysjit_calibrated_head &head : heads)
    report["heads"].push_back({{"queries", head.queries},
                               {"rounds", head.rounds},
                               {"mean_square", head.mean_square},
                               {"mean_square_of_one", head.mean_square_of_one}});
  return report;
}

} // namespace

Result<Reply> runCalibrate(const CalibrateOptions &options) {
  // The request, whole.
  Result<RequestFiles> files = readRequest(options.spec, std::nullopt);
  NYSJIT_RETURN_IF_ERROR(files);
  const KernelSpec &spec = files->spec;
  if (Status has = checkHasProbes(spec); !has)
    return inFile(options.spec, has.takeError());
  Result<OutputFile> output = OutputFile::create("-o", options.output);
  NYSJIT_RETURN_IF_ERROR(output);
  LoadedQueries loaded;
  for (size_t i = 0; i < options.queries.size(); ++i)
    if (Status status = load(options.queries[i], spec.dtype, loaded); !status)
      return ofFile(options, i, status.takeError());

  // The probes, and what came of each head.
  const Tensor probes =
      Tensor::zeros({loaded.heads, learnedQueries(spec), spec.headDim}, DType::Float32);
  const TensorView view(probes);
  std::vector<nysjit_calibrated_head> heads(static_cast<size_t>(loaded.heads));
  Threads threads(static_cast<size_t>(options.threads));
  {
    std::optional<Progress> progress;
    if (!options.isQuiet)
      progress.emplace("calibrating " + std::to_string(loaded.heads) + " heads");
    if (Status status = calibrate({.spec = spec,
                                   .runs = loaded.runs,
                                   .probes = view.get(),
                                   .seed = options.seed,
                                   .heads = heads.data(),
                                   .headCount = heads.size()},
                                  threads);
        !status)
      return namedByFile(options, status.takeError());
  }
  NYSJIT_RETURN_IF_ERROR(output->write(npyFile(probes)));
  Reply reply{.json = reportJson(options, probes, heads),
              .text = reportText(options, probes, heads)};
  reply.isOutputTaken = output->isStandardOutput();
  return reply;
}

} // namespace nysjit::cli
