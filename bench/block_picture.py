"""Draws docs/layouts/causal-dyadic.svg: what each query of `causal` with learned probes sees, and
in which blocks, as they grow with distance.

What is seen is measured: one position's q, k and v are replaced, and every row of O that changes by
a bit sees it. It must be what the layout promises, else this stops.
usage: block_picture.py
"""

import numpy as np

from harness import ROOT, Runtime
from layout_pictures import rows_changed
from svg import FAR, NEAR, Drawing

N, S, D, HEADS, PROBES, WIDTH = 64, 4, 16, 2, 2, 1
SPEC = {
    "layout": "causal",
    "head_dim": D,
    "landmarks": N // S,
    "segment_len": S,
    "landmark_source": "learned",
    "probes": PROBES,
    "landmark_spacing": "dyadic",
    "level_width": WIDTH,
}


def blocks_of(segments):
    """The blocks, [first, last) in segments, that a row with so many before its own sees."""
    blocks, left, size = [], segments, 1
    while left:
        near = min(left, WIDTH + (left - WIDTH) % 2)
        blocks += [((left - 1 - j) * size, (left - j) * size) for j in range(near)]
        left, size = (left - near) // 2, 2 * size
    return blocks


def measured():
    """[N, N]: whether a bit of row i of O changes with position t."""
    random = np.random.default_rng(3)
    draw = lambda *shape: random.standard_normal(shape).astype(np.float32)
    q, k, v, o = (draw(1, HEADS, N, D) for _ in range(4))
    runtime = Runtime()
    call = runtime.bind(runtime.prepare(SPEC), q, k, v, o, landmark_q=draw(HEADS, PROBES, D))
    return rows_changed(call, (q, k, v), o, random)


def main():
    if not np.array_equal(measured(), np.tri(N, dtype=bool)):
        raise SystemExit("expected each row to change with its past and nothing else")
    cell, left, top = 7, 52, 16
    side = N * cell
    drawing = Drawing(left + side + 250, top + side + 46)
    i, t = np.arange(N)[:, None], np.arange(N)[None]
    own = (t <= i) & (t // S == i // S)
    drawing.cells(left, top, cell, np.argwhere(own)[:, ::-1], NEAR)
    drawing.cells(left, top, cell, np.argwhere((t <= i) & ~own)[:, ::-1], FAR)
    for segment in range(1, N // S):
        y0, y1 = top + segment * S * cell - 0.5, top + (segment + 1) * S * cell - 0.5
        for first, last in blocks_of(segment):
            x0, x1 = left + first * S * cell - 0.5, left + last * S * cell - 0.5
            drawing.line([(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)], "#333", 1.2)
    for at in range(0, N + 1, 4 * S):
        x, y = left + at * cell - 0.5, top + at * cell - 0.5
        drawing.text(x, top + side + 17, str(at), 11, "#555", "middle")
        drawing.text(left - 8, y + 4, str(at), 11, "#555", "end")
    drawing.text(left + side / 2, top + side + 36, "position t", 13, anchor="middle")
    drawing.text(16, top + side / 2, "query i", 13, anchor="middle", turned=True)
    words = [(NEAR, "weighed by itself"), (FAR, "seen through a block's probes")]
    for row, (fill, word) in enumerate(words):
        y = top + 14 + 24 * row
        drawing.box(left + side + 18, y - 11, 13, 13, fill)
        drawing.text(left + side + 38, y, word, 13)
    drawing.text(left + side + 18, top + 68, f"segments of {S}, outlined: blocks", 13, "#555")
    drawing.save(ROOT / "docs/layouts/causal-dyadic.svg")


if __name__ == "__main__":
    main()
