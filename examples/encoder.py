"""An encoder's attention, the Nystromformer's: no mask, and a convolution of the values beside it.

usage: encoder.py [NYSJIT]

Nothing in it knows left from right: with symmetric taps the reversed sequence gives the reversed
output.
"""

import math

from tensors import attend, normal, say

SHAPE = BATCH, HEADS, LENGTH, SIZE = 1, 4, 128, 32
SPEC = {
    "layout": "bidirectional",
    "head_dim": SIZE,
    "landmarks": 16,
    "segment_len": 8,
    "conv_kernel": 5,
}
TAPS = [0.05, 0.1, 0.2, 0.1, 0.05] * HEADS


def reversed_rows(x):
    return [
        number
        for h in range(HEADS)
        for t in reversed(range(LENGTH))
        for number in x[(h * LENGTH + t) * SIZE :][:SIZE]
    ]


tensors = [normal(*SHAPE, seed=seed) for seed in (1, 2, 3)]
there = attend(SPEC, SHAPE, *tensors, conv=(TAPS, [HEADS, 5]))
back = reversed_rows(attend(SPEC, SHAPE, *map(reversed_rows, tensors), conv=(TAPS, [HEADS, 5])))
error = math.dist(there, back) / math.hypot(*there)
say(f"an encoder gives the reversed sequence the reversed output (error {error:.1e})", error < 1e-5)
