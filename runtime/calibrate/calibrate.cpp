// The heads are shared among the threads; each is computed by one, from its queries and the seed
// alone.
#include "runtime/calibrate/calibrate.h"
#include "runtime/base/float_environment.h"
#include "runtime/calibrate/clusters.h"
#include "runtime/calibrate/queries.h"
#include "runtime/device/tensor_memory.h"
#include "runtime/npy/half.h"
#include "runtime/spec/lengths.h"

#include <atomic>
#include <cstring>
#include <optional>
#include <vector>

namespace nysjit {

namespace {

/// What is known of a head once a thread has taken it.
struct Head {
  Clusters clusters;
  double spread = 0; // the mean square of the distances to the one mean
  std::optional<Error> failure;
  bool isWithoutMemory = false;
  bool isDone = false;
};

/// The work of all threads.
struct Job {
  const Queries *queries;
  int64_t size;
  int64_t probes;
  uint64_t seed;
  std::vector<Head> heads;
  std::atomic<size_t> next{0};
};

Status computeHead(const Job &job, int64_t number, Head &head) {
  std::vector<float> values;
  NYSJIT_RETURN_IF_ERROR(job.queries->readHead(number, values));
  const Points points{values.data(), job.queries->count(), job.size};
  head.spread = findClusters(points, 1, job.seed).meanSquare;
  head.clusters = findClusters(points, job.probes, job.seed);
  return {};
}

/// Heads until there are none left; what is thrown is kept, for a thread of the pool has nobody to
/// throw to.
void shareHeads(void *context, void *) {
  Job &job = *static_cast<Job *>(context);
  for (size_t i = job.next++; i < job.heads.size(); i = job.next++) {
    Head &head = job.heads[i];
    try {
      if (Status computed = computeHead(job, int64_t(i), head); !computed)
        head.failure = computed.takeError();
    } catch (...) { // bad_alloc, or more than a vector can hold
      head.isWithoutMemory = true;
    }
    head.isDone = true;
  }
}

Error refusal(ErrorKind kind, const char *where, const char *expected, std::string found) {
  return Error::mismatch(kind, where, expected, std::move(found));
}

/// The first head's that failed.
Status failureOf(const std::vector<Head> &heads) {
  for (const Head &head : heads) {
    if (head.failure)
      return *head.failure;
    if (head.isWithoutMemory || !head.isDone)
      return refusal(ErrorKind::Io, "queries",
                     head.isDone ? "memory for a head's queries"
                                 : "a thread, and a parallel_for that runs its tasks",
                     head.isDone ? "not enough" : "none");
  }
  return {};
}

/// There are queries to find probes from, and room for what comes of them.
Status checkCounts(const CalibrationRequest &request, const Queries &queries) {
  if (queries.count() == 0 && (request.runs.empty() || queries.heads() > 0))
    return refusal(ErrorKind::InvalidArgument, "runs", "at least one query of each head", "none");
  if (request.headCount != 0 && int64_t(request.headCount) != queries.heads())
    return refusal(ErrorKind::InvalidArgument, "head_count", "the number of query heads, or 0",
                   std::to_string(request.headCount));
  return {};
}

void store(char *address, DLDataType type, double number) {
  const auto value = float(number);
  if (type.bits == 32) {
    std::memcpy(address, &value, sizeof value);
    return;
  }
  const uint16_t bits = type.code == kDLBfloat ? floatToBfloat16(value) : floatToFloat16(value);
  std::memcpy(address, &bits, sizeof bits);
}

void write(const Job &job, const DLTensor &probes) {
  TensorStrides strides;
  (void)strides.fill(probes); // checked with the queries
  auto *first = reinterpret_cast<char *>(addressOf(probes));
  for (size_t h = 0; h < job.heads.size(); ++h)
    for (int64_t p = 0; p < job.probes; ++p)
      for (int64_t e = 0; e < job.size; ++e)
        store(first + (int64_t(h) * strides.values[0] + p * strides.values[1] + e) *
                          (probes.dtype.bits / 8),
              probes.dtype, job.heads[h].clusters.means[size_t(p * job.size + e)]);
}

} // namespace

Status checkHasProbes(const KernelSpec &spec) {
  if (spec.layout != Layout::Causal)
    return refusal(ErrorKind::InvalidKey, "layout",
                   "causal, whose landmarks may be seen through probes", layoutName(spec.layout));
  if (spec.landmarkSource != LandmarkSource::Learned)
    return refusal(ErrorKind::InvalidKey, "landmark_source", "learned, which has probes to find",
                   landmarkSourceName(spec.landmarkSource));
  return {};
}

Status calibrate(const CalibrationRequest &request, Threads &threads) {
  NYSJIT_RETURN_IF_ERROR(checkHasProbes(request.spec));
  Queries queries(request.spec);
  NYSJIT_RETURN_IF_ERROR(queries.read(request.runs, request.probes));
  NYSJIT_RETURN_IF_ERROR(checkCounts(request, queries));

  Job job{.queries = &queries,
          .size = request.spec.headDim,
          .probes = learnedQueries(request.spec),
          .seed = request.seed,
          .heads = std::vector<Head>(size_t(queries.heads()))};
  RunFloatEnvironment environment;
  constexpr size_t scratchBytes = 64; // of no use here; a team wants some
  ThreadTeam team(threads, scratchBytes, &environment);
  if (team.hasScratch() && !job.heads.empty())
    team.launch(&shareHeads, &job, job.heads.size(), /*isLast=*/true);
  NYSJIT_RETURN_IF_ERROR(failureOf(job.heads));

  write(job, *request.probes);
  for (size_t h = 0; h < request.headCount; ++h) {
    const Head &head = job.heads[h];
    request.heads[h] = {queries.count(), head.clusters.rounds, head.clusters.meanSquare,
                        head.spread};
  }
  return {};
}

} // namespace nysjit
