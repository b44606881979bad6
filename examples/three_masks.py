"""Three lower-triangular masks, as proposed for the Nystromformer in 2021, do not make it causal:
landmarks leak.

usage: three_masks.py [NYSJIT]

A landmark is the mean of its segment, and a position sees its own segment's: the end of a segment
changes the outputs at its beginning. Earlier segments do not change by a bit.
"""

from tensors import attend, changed, normal, rows, say

SHAPE = BATCH, HEADS, LENGTH, SIZE = 1, 4, 128, 32
SEGMENT, CHANGED = 8, 47  # the last position of segment 5, which begins at 40
SPEC = {"layout": "segment_causal", "head_dim": SIZE, "landmarks": 16, "segment_len": SEGMENT}

tensors = [normal(*SHAPE, seed=seed) for seed in (1, 2, 3)]
before = attend(SPEC, SHAPE, *tensors)
after = attend(SPEC, SHAPE, *(changed(x, SHAPE, [[CHANGED]], seed=4) for x in tensors))
begin = CHANGED - SEGMENT + 1
leaks = all(
    rows(before, SHAPE, 0, [t]) != rows(after, SHAPE, 0, [t]) for t in range(begin, CHANGED)
)
keeps = rows(before, SHAPE, 0, range(begin)) == rows(after, SHAPE, 0, range(begin))
say(
    f"position {CHANGED} changes the outputs from {begin} on, where its segment begins, "
    "and none before",
    leaks and keeps,
)
