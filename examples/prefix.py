"""An encoder-decoder in one sequence: a source that sees all of itself, then a target that sees the
source and its own past.

usage: prefix.py [NYSJIT]

Each sequence of the batch has a source of its own length. What comes later in the target changes
nothing before it by a bit; the source's end changes its beginning.
"""

from tensors import attend, changed, normal, rows, say

SHAPE = BATCH, HEADS, LENGTH, SIZE = 3, 2, 96, 32
SOURCES = [50, 17, 0]
SPEC = {"layout": "prefix_lm", "head_dim": SIZE, "landmarks": 16, "segment_len": 8}

tensors = [normal(*SHAPE, seed=seed) for seed in (1, 2, 3)]


def output(positions):
    """With other queries, keys and values at positions[b]."""
    return attend(
        SPEC, SHAPE, *(changed(x, SHAPE, positions, seed=4) for x in tensors), source_len=SOURCES
    )


before = output([[]] * BATCH)
first = [source + 20 for source in SOURCES]  # in the target
later = output([range(t, LENGTH) for t in first])
is_causal = all(
    rows(before, SHAPE, b, range(t)) == rows(later, SHAPE, b, range(t)) for b, t in enumerate(first)
)
ends = output([range(source - 1, source) if source else [] for source in SOURCES])
sees_source = all(
    (rows(before, SHAPE, b, [0]) != rows(ends, SHAPE, b, [0])) == (source > 0)
    for b, source in enumerate(SOURCES)
)
say(
    f"sources of {SOURCES} see all of themselves, targets their past alone, to the last bit",
    is_causal and sees_source,
)
