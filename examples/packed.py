"""A batch of sequences one after the other, no padding between them, with grouped queries: eight
heads share two of keys.

usage: packed.py [NYSJIT]

Each sequence has the output that it has alone, to the last bit; the second is empty.
"""

from tensors import attend, normal, say

HEADS, KEY_HEADS, SIZE = 8, 2, 32
STARTS = [0, 70, 70, 200]
SPEC = {"layout": "causal", "head_dim": SIZE, "landmarks": 32, "segment_len": 8}

heads = (HEADS, KEY_HEADS, KEY_HEADS)
tensors = [normal(STARTS[-1], h, SIZE, seed=seed) for seed, h in enumerate(heads)]  # [total, H, d]


def output(first, end, starts):
    """Of rows first to end, packed."""
    parts = [x[first * h * SIZE : end * h * SIZE] for x, h in zip(tensors, heads)]
    return list(
        attend(
            SPEC,
            [end - first, HEADS, SIZE],
            *parts,
            key_shape=[end - first, KEY_HEADS, SIZE],
            cu_seqlens=starts,
        )
    )


together = output(0, STARTS[-1], STARTS)
alone = [output(first, end, [0, end - first]) for first, end in zip(STARTS, STARTS[1:])]
say("packed sequences are each as if alone, to the last bit", together == sum(alone, []))
