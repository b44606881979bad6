// What queries see: far landmarks and near positions, in one softmax.
#pragma once
#include "templates/landmarks.h"

namespace nysjit {

/// Adds landmarks [0, end) to the softmax of query rows, each row's those that its mask lets it
/// see.
void addFar(Kernel &k, OnlineSoftmax &softmax, const LandmarkRows &landmarks, const Tile &query,
            const Mask &mask, const Scalar &end, int block);

/// Adds the positions in `positions` to the softmax of query rows, each row's those that its mask
/// lets it see.
void addNear(Kernel &k, OnlineSoftmax &softmax, const Head &head, const Tile &query,
             const Mask &mask, const Range &positions, int block);

} // namespace nysjit
