// What a spec says of a sequence's length: the longest there may be, and how long segments are.
#pragma once
#include "runtime/spec/spec.h"

#include <cstdint>
#include <optional>
#include <string>

namespace nysjit {

/// The most positions of a sequence, landmarks * segment_len; nothing where the spec sets no limit
/// (no landmarks, or segments whose length follows the sequence's).
std::optional<int64_t> maximumLength(const KernelSpec &spec);
/// What a message expects of a sequence over that limit: "a length of at most landmarks *
/// segment_len = 512 positions".
std::string expectedLength(int64_t maximum);

/// Positions of a segment in a sequence of this length: segment_len, else ceil(length / landmarks);
/// 1 in a layout without landmarks.
int64_t segmentLength(const KernelSpec &spec, int64_t length);

/// Queries of `landmark_q` for a head, where the spec has them: landmarks, in `causal` probes.
int64_t learnedQueries(const KernelSpec &spec);

} // namespace nysjit
