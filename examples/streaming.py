"""Streaming: landmarks that are learned, not made of the sequence, and running sums under them.

usage: streaming.py [NYSJIT]

A position costs the same however many came before. The output of the first half is the same to the
last bit whether the second half is there, is something else, or has not come yet.
"""

from tensors import attend, changed, normal, rows, say

SHAPE = BATCH, HEADS, LENGTH, SIZE = 1, 4, 200, 32
LANDMARKS = 16
SPEC = {"layout": "scan", "head_dim": SIZE, "landmarks": LANDMARKS, "landmark_source": "learned"}

half, now = [BATCH, HEADS, LENGTH // 2, SIZE], range(LENGTH // 2)
landmarks = {
    name: (normal(HEADS, LANDMARKS, SIZE, seed=seed), [HEADS, LANDMARKS, SIZE])
    for name, seed in (("landmark_q", 4), ("landmark_k", 5))
}
tensors = [normal(*SHAPE, seed=seed) for seed in (1, 2, 3)]

whole = attend(SPEC, SHAPE, *tensors, **landmarks)
other = attend(
    SPEC,
    SHAPE,
    *(changed(x, SHAPE, [range(LENGTH // 2, LENGTH)], seed=6) for x in tensors),
    **landmarks,
)
cut = attend(SPEC, half, *(sum(rows(x, SHAPE, 0, now), []) for x in tensors), **landmarks)
first = rows(whole, SHAPE, 0, now)
say(
    "the first half is the same whatever follows, to the last bit",
    first == rows(other, SHAPE, 0, now) == rows(cut, half, 0, now),
)
