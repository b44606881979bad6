"""Draws docs/layouts.md's pictures: each layout's mask as measured, the leak of segment_causal, and
error against time.

A mask is measured: one position's q, k and v are replaced, and every row of O that changes by a bit
sees it. What comes out must be what the layout promises, else this stops.
"""

import math

import numpy as np

from layout_cases import Case, bind
from svg import FAR, GREY, LATER, NEAR, Drawing

N, S, D, HEADS, SOURCE = 24, 4, 16, 2, 10
MASKS = {
    "causal": Case("causal", S),
    "causal-window-1": Case("causal", S, (("window", 1),)),
    "exact_causal": Case("exact_causal"),
    "segment_causal": Case("segment_causal", S),
    "bidirectional": Case("bidirectional", S),
    "prefix_lm": Case("prefix_lm", S),
    "scan-learned": Case("scan", S, (("landmark_source", "learned"),)),
    "scan-first_k": Case("scan", N // 3, (("landmark_source", "first_k"),)),
}  # 3 landmarks, k0 = 12


def expected(case):
    """[N, N]: 0 where query i does not see position t, 1 where it weighs it by itself, 2 where
    through a landmark."""
    i, t = np.arange(N)[:, None], np.arange(N)[None]
    past = t <= i
    if case.layout == "exact_causal":
        return past * 1
    if case.layout == "bidirectional":
        return np.full((N, N), 2)
    if case.layout == "segment_causal":
        return (t // S <= i // S) * 2
    if case.layout == "scan":
        first = case.first(N) if case.get("landmark_source") == "first_k" else 0
        return np.where(i < first, past * 1, past * 2)
    start = (
        SOURCE if case.layout == "prefix_lm" else 0
    )  # the target's segments count from the source's end
    segment = (i - start) // S - (case.get("window") or 0)
    near = past & (t >= start + np.maximum(segment, 0) * S)
    target = np.where(near, 1, (t < start + np.maximum(segment, 0) * S) * 2)
    return np.where(i < start, (t < start) * 2, target)


def rows_changed(call, inputs, output, random):
    """[n, n]: whether a bit of row i of `output`, [1, heads, n, d], changes with the rows t of
    `inputs`, which are as long."""
    call()
    n = output.shape[2]
    before, changes = output.copy(), np.zeros((n, n), bool)
    for t in range(n):
        for _ in range(3):
            kept = [x[:, :, t].copy() for x in inputs]
            for x in inputs:
                x[:, :, t] = random.standard_normal(x[:, :, t].shape).astype(np.float32)
            call()
            changes[:, t] |= (output.view(np.int32) != before.view(np.int32)).any((0, 1, 3))
            for x, rows in zip(inputs, kept):
                x[:, :, t] = rows
    return changes


def measured(runtime, case):
    """[N, N]: whether a bit of row i of O changes with position t."""
    random = np.random.default_rng(3)
    draw = lambda *shape: random.standard_normal((1, HEADS, *shape)).astype(np.float32)
    q, k, v, o, other = draw(N, D), draw(N, D), draw(N, D), draw(N, D), (draw(N, D), draw(N, D))
    call = bind(runtime, case, q, k, v, o, other, source_len=SOURCE)
    return rows_changed(call, (q, k, v), o, random)


def draw_mask(case, changes, path):
    cell, left, top = 13, 52, 16
    side, kinds = N * cell, expected(case)
    if not np.array_equal(changes, kinds > 0):
        raise SystemExit(
            f"{case}: expected rows to change where the layout lets them, found\n{changes * 1}"
        )
    drawing = Drawing(left + side + 250, top + side + 46)
    words = [
        (NEAR, "weighed by itself"),
        (FAR, "seen through landmarks"),
        (LATER, "later than the query, yet seen"),
        ("#f3f4f5", "not seen: changes no bit"),
    ]
    shown = [kinds == 1, (kinds == 2) & (np.tri(N) > 0), changes & (np.tri(N) == 0), ~changes]
    for (fill, _), cells in zip(words, shown):
        drawing.cells(left, top, cell, np.argwhere(cells)[:, ::-1], fill)
    has_segments = case.layout not in ("exact_causal", "scan")
    start = SOURCE if case.layout == "prefix_lm" else 0
    borders = sorted({*range(0, start, S), *range(start, N + 1, S)}) if has_segments else [0, 12, N]
    for at in borders:
        x, y = left + at * cell - 0.5, top + at * cell - 0.5
        drawing.line([(x, top + side), (x, top + side + 5)])
        drawing.line([(left - 5, y), (left, y)])
        drawing.text(x, top + side + 17, str(at), 11, "#555", "middle")
        drawing.text(left - 8, y + 4, str(at), 11, "#555", "end")
        if has_segments and 0 < at < N:
            drawing.line([(x, top), (x, top + side)], "#555", 0.6)
            drawing.line([(left, y), (left + side, y)], "#555", 0.6)
    drawing.text(left + side / 2, top + side + 36, "position t", 13, anchor="middle")
    drawing.text(16, top + side / 2, "query i", 13, anchor="middle", turned=True)
    y = top + 14
    for (fill, word), cells in zip(words, shown):
        if cells.any():
            drawing.box(left + side + 18, y - 11, 13, 13, fill)
            drawing.text(left + side + 38, y, word, 13)
            y += 24
    if has_segments:
        drawing.text(
            left + side + 18,
            y + 6,
            f"segments of {S}" + (f", source of {SOURCE}" if start else ""),
            13,
            "#555",
        )
    drawing.save(path)


def draw_masks(runtime, folder):
    """Returns what was not drawn, and why."""
    refused = []
    for name, case in MASKS.items():
        try:
            draw_mask(case, measured(runtime, case), folder / f"{name}.svg")
        except RuntimeError as message:
            refused.append(f"{name}: {message}")
    return refused


def draw_leak(changes, s, first, path):
    """changes: {name: for each row from `first` on, its relative change when all later positions
    are replaced}."""
    left, top, width, height = 62, 40, 760, 220
    drawing = Drawing(left + width + 20, top + height + 62)
    count = len(next(iter(changes.values())))
    highest = max(0.5, math.ceil(10 * max(map(max, changes.values()))) / 10)
    x = lambda row: left + (row + 0.5) / count * width
    y = lambda change: top + height - change / highest * height
    for tick in range(int(round(highest * 10)) + 1):
        if tick % max(1, round(highest * 2)) == 0:
            drawing.line([(left, y(tick / 10)), (left + width, y(tick / 10))], "#e2e5e8")
            drawing.text(left - 8, y(tick / 10) + 4, f"{tick / 10:.1f}", 11, "#555", "end")
    for row in range(0, count + 1, s):
        at = left + row / count * width
        drawing.line([(at, top), (at, top + height + 5)], "#bbb")
        drawing.text(at, top + height + 18, str(first + row), 11, "#555", "middle")
    bar = width / count * 0.7
    for row, change in enumerate(changes["segment_causal"]):
        drawing.box(x(row) - bar / 2, y(change), bar, top + height - y(change), LATER)
    drawing.line([(x(row), y(change)) for row, change in enumerate(changes["causal"])], NEAR, 3)
    drawing.text(
        left, 20, "How much row i changes when every later position is replaced", 15, bold=True
    )
    drawing.text(
        left + width / 2,
        top + height + 38,
        f"row i; segments of {s} start at the lines",
        13,
        anchor="middle",
    )
    drawing.text(16, top + height / 2, "relative change", 13, anchor="middle", turned=True)
    for at, fill, words in (
        (left, LATER, "segment_causal"),
        (left + 160, NEAR, "causal: 0, to the last bit"),
    ):
        drawing.box(at, top + height + 46, 13, 13, fill)
        drawing.text(at + 19, top + height + 57, words)
    drawing.save(path)


SERIES = [
    (
        "causal",
        {"window": 0, "landmark_weight": "tangent", "landmark_value": "nystrom"},
        "causal",
        "#d9730d",
        "circle",
    ),
    (
        "causal",
        {"window": 0, "landmark_weight": "tangent", "landmark_value": "streaming"},
        "causal, streaming",
        "#d9730d",
        "ring",
    ),
    (
        "causal",
        {"window": 0, "landmark_weight": "count", "landmark_value": "nystrom"},
        "causal, count",
        "#b59a2a",
        "circle",
    ),
    (
        "causal",
        {"window": 1, "landmark_weight": "tangent", "landmark_value": "nystrom"},
        "causal, window 1",
        "#1f5f9f",
        "circle",
    ),
    (
        "causal",
        {"window": 2, "landmark_weight": "tangent", "landmark_value": "streaming"},
        "causal, window 2, streaming",
        "#1f5f9f",
        "ring",
    ),
    ("own segment", {}, "own segment alone, no landmarks", GREY, "square"),
    ("segment_causal", {}, "segment_causal", LATER, "cross"),
    ("bidirectional", {}, "bidirectional (of full attention)", "#2e8b57", "square"),
    ("prefix_lm", {}, "prefix_lm (of prefix attention)", "#7a4fb5", "square"),
    ("scan", {"landmark_source": "first_k"}, "scan first_k", "#00838f", "circle"),
    ("scan", {"landmark_source": "learned"}, "scan learned", "#00838f", "ring"),
]


def draw_errors(panels, path):
    """panels: [(title, {case: (error, ms)})]. Error upwards, time to the right, both logarithmic; a
    series' labels are s."""
    width, height, lefts, top = 470, 400, (70, 620), 64
    drawing = Drawing(lefts[1] + width + 24, top + height + 160)
    drawing.text(
        lefts[0] - 44, 26, "Error against time, segments of 16, 32, 64 and 128", 19, bold=True
    )
    for left, (title, points) in zip(lefts, panels):
        times, errors = (
            [ms for _, ms in points.values()],
            [e for e, _ in points.values() if e > 1e-3],
        )
        low, high = math.log10(min(times)) - 0.06, math.log10(max(times)) + 0.06
        least, most = math.log10(min(errors)) - 0.05, math.log10(max(errors)) + 0.05
        x = lambda ms: left + (math.log10(ms) - low) / (high - low) * width
        y = lambda error: top + height - (math.log10(error) - least) / (most - least) * height
        drawing.text(left, top - 10, title, 14)
        for exponent in range(-4, 4):
            for digit in (1, 2, 5):
                tick = digit * 10.0**exponent
                if low <= math.log10(tick) <= high:
                    drawing.line([(x(tick), top), (x(tick), top + height)], "#e2e5e8")
                    drawing.text(x(tick), top + height + 17, f"{tick:g}", 11, "#555", "middle")
        for tick in (0.01, 0.02, 0.05, *(step / 10 for step in range(1, 10)), 1, 1.5, 2, 5, 10, 20):
            if least <= math.log10(tick) <= most:
                drawing.line([(left, y(tick)), (left + width, y(tick))], "#e2e5e8")
                if tick not in (0.6, 0.8, 0.9) or most - least < 1:
                    drawing.text(left - 8, y(tick) + 4, f"{tick:g}", 11, "#555", "end")
        drawing.line([(left, top), (left, top + height), (left + width, top + height)])
        exact = next(ms for case, (_, ms) in points.items() if case.layout == "exact_causal")
        drawing.line([(x(exact), top), (x(exact), top + height)], "#222", 1.2, dashed=True)
        drawing.text(x(exact) - 5, top + 14, "exact_causal", 11, anchor="end")
        for layout, wanted, _, fill, shape in SERIES:
            series = sorted(
                (case.s, ms, error)
                for case, (error, ms) in points.items()
                if case.layout == layout and (dict(case.options) == wanted)
            )
            drawing.line([(x(ms), y(error)) for _, ms, error in series], fill, 1)
            for s, ms, error in series:
                drawing.mark(x(ms), y(error), fill, shape)
                if (
                    layout in ("causal", "segment_causal")
                    and wanted.get("landmark_value") != "streaming"
                    and s in (16, 128)
                ):
                    drawing.text(x(ms) + 6, y(error) - 5, str(s), 10, fill)
        drawing.text(left + width / 2, top + height + 36, "ms", 13, anchor="middle")
    drawing.text(20, top + height / 2, "relative error", 13, anchor="middle", turned=True)
    for index, (layout, wanted, words, fill, shape) in enumerate(SERIES):
        if any(
            case.layout == layout and dict(case.options) == wanted
            for _, points in panels
            for case in points
        ):
            at, row = lefts[0] + index % 3 * 340, top + height + 66 + index // 3 * 24
            drawing.mark(at, row - 4, fill, shape)
            drawing.text(at + 14, row, words)
    drawing.save(path)
