"""Landmarks from the first k tokens: those see each other exactly, all later ones see the past
through them.

usage: first_tokens.py [NYSJIT]

Nothing is learned and nothing leaks: no output knows what comes after it, to the last bit.
"""

from tensors import attend, changed, normal, rows, say

SHAPE = BATCH, HEADS, LENGTH, SIZE = 1, 4, 160, 32
FIRST = 32
SPEC = {
    "layout": "scan",
    "head_dim": SIZE,
    "landmarks": 16,
    "landmark_source": "first_k",
    "first_k": FIRST,
}

tensors = [normal(*SHAPE, seed=seed) for seed in (1, 2, 3)]
before = attend(SPEC, SHAPE, *tensors)


def is_same_up_to(t):
    """With other queries, keys and values from position t on."""
    other = attend(SPEC, SHAPE, *(changed(x, SHAPE, [range(t, LENGTH)], seed=4) for x in tensors))
    return rows(before, SHAPE, 0, range(t)) == rows(other, SHAPE, 0, range(t))


say(
    f"no output knows what comes later, in the first {FIRST} tokens or after them, to the last bit",
    is_same_up_to(20) and is_same_up_to(100),
)
