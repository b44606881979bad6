"""What a GPU would move and multiply for gradients, counted by the emulator: each launch's distinct
32-byte sectors, summed, beside the passes that the backward's kernels make over q, k, v, o, dO, dq,
dk and dv, with what is kept and computed of landmarks or blocks once; and tensor-core operations
beside those of the 64 x 64 tiles that touch the mask (far blocks of probes: tiles of 16).

q, k, v and dO are float16, o and the gradients float32; a pass is d numbers a position and head. n
2048, B1 H1; sm_80; scan at twice that, for its m x m matrices do not grow with n.
usage: backward_traffic.py [--length N] [--save FILE]
"""

from harness import table
from traffic import PROBES, SPLIT, TILE, ceil, emulate, runs

# Kernels by their passes over 16-bit tensors (q, k, v, dO) and float32 ones (o, dq, dk, dv, and dq
# through far blocks, written and read).
DELTA, FAR, SEGMENT, PAST, POSITION = (1, 1), (2, 0), (2, 0), (2, 0), (4, 3)
PASSES = {
    "causal": (DELTA, FAR, SEGMENT, PAST, POSITION),
    "streaming": (DELTA, FAR, SEGMENT, POSITION),
    "prefix_lm": (DELTA, FAR, SEGMENT, PAST, POSITION),
    "segment_causal": (DELTA, FAR, SEGMENT, PAST, POSITION),
    "bidirectional": (DELTA, FAR, PAST, POSITION),
    "learned": (DELTA, (2, 1), (4, 4)),
    "dyadic": (DELTA, (2, 1), (4, 4)),
    "exact_causal": (DELTA, POSITION),
    "scan": ((4, 1), (4, 2)),  # scan_rows, scan_columns; before them scan_sums, see passes_of
}
VECTORS = 9  # of a landmark: qtilde, khat, U, pool and dO's sums dkhat, dU, Y, dpool, dqtilde


def passes_of(layout, n):
    """Passes over 16-bit tensors and over float32 ones; scan_sums reads k and v but for the last
    part's."""
    halves, wholes = (sum(column) for column in zip(*PASSES[layout]))
    return halves + (2 * max(n - SPLIT, 0) / n if layout == "scan" else 0), wholes


def least_of(layout, n, d, m):
    """Bytes of the passes, and of landmarks or blocks once."""
    halves, wholes = passes_of(layout, n)
    vectors = VECTORS * m
    if layout in ("learned", "dyadic"):
        vectors = 4 * PROBES * (m if layout == "learned" else 2 * m - 1)
    if layout in ("scan", "exact_causal"):
        vectors = 0
    return n * d * (2 * halves + 4 * wholes) + 4 * d * vectors


def tile_flops(layout, n, d, m, s):
    """By kernel, of 64 x 64 tiles that hold a pair; a logit of a landmark is two products, what
    else there is one. dq: near 3, far 4; dk and dv: near 4, past 5, and of a tile of 16 own
    segments 7."""
    dot, rows, lands = 2 * TILE * TILE * d, ceil(n, TILE), ceil(m, TILE)
    if layout == "exact_causal":
        return {"position_gradient": 7 * dot * rows * (rows + 1) // 2}
    near = far = past = 0
    for r in range(rows):
        first, last = r * TILE // s, (r * TILE + TILE - 1) // s
        near += ceil((r + 1) * TILE - first * s, TILE)
        far += ceil(last, TILE)
        past += lands - first // TILE
    if layout == "bidirectional":
        far = past = rows * lands
        return {
            "source_far_gradient": 5 * dot * far,
            "past_gradient": 4 * dot * past,
            "source_position_gradient": 4 * dot * far + 5 * dot * past,
        }
    if layout not in ("causal", "streaming"):
        return {}
    past = past if layout == "causal" else 0
    return {
        "far_gradient": 5 * dot * far,
        "past_gradient": 4 * dot * past,
        "position_gradient": dot * (7 * near + 4 * far + 5 * past) + 7 * dot // 4 * rows,
    }


def main():
    rows = []
    for layout, n, d, s, spec, more in runs():
        saving, backward = emulate(spec, n, more, ("dq", "dk", "dv"))
        moved, forward = (
            32 * sum(launch["counts"]["global_sectors"] for launch in launches)
            for launches in (backward, saving)
        )
        m = spec.get("landmarks", 0)
        flops = tile_flops(layout, n, d, m, s)
        passes = passes_of(layout, n)
        rows.append(
            [
                layout,
                n,
                d,
                spec.get("segment_len", ""),
                f"{passes[0]:g} + {passes[1]}",
                f"{moved / n / d:.1f}",
                f"{moved / least_of(layout, n, d, m):.2f}",
                f"{moved / forward:.1f}",
                ", ".join(
                    f"{l['kernel']} {l['counts']['mma_flops'] / flops[l['kernel']]:.2f}"
                    for l in backward
                    if l["kernel"] in flops
                ),
                ", ".join(
                    f"{l['kernel']} {32 * l['counts']['global_sectors'] / n / d:.1f}"
                    for l in backward
                ),
            ]
        )
    table(
        "Bytes and tensor-core operations of float16 gradients, B1 H1, sm_80, emulated",
        [
            "layout",
            "n",
            "d",
            "segment_len",
            "passes",
            "bytes / (n d)",
            "of the least",
            "of the forward's",
            "mma of tiles under the mask",
            "bytes / (n d) by launch",
        ],
        rows,
    )


if __name__ == "__main__":
    main()
