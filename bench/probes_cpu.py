"""causal with learned probes over the length of a sequence, beside what else nysjit has and
PyTorch's attention: time, pairs that are weighed and memory between kernels.

B1 H8 d64 float32, segment_len 64, 4 probes, dyadic blocks of level_width 1. At each length all
methods alternate in one run; one ends where a run of it would take over ten seconds, or where it
has no more landmarks (1024). "pairs" are products over head_dim a position and head, half as many
as its multiply-adds: a query and a key or landmark that it weighs is one, and so are two of what
its landmarks cost.
usage: probes_cpu.py [--longest N] [--repeat R] [--threads T] [--save FILE]
  with --save, docs/layouts/learned-cost.svg is drawn, too
"""

import argparse

import numpy
import torch

from harness import ROOT, Runtime, markdown, median_ms, publish
from layout_cases import Case, flops
from svg import FAR, GREY, INK, LATER, NEAR, Drawing

HEADS, D, S, PROBES, WIDTH = 8, 64, 64, 4, 1
MOST_LANDMARKS, MOST_MS = 1024, 10_000
LENGTHS = [1 << exponent for exponent in range(10, 21)]
LEARNED, SDPA = "causal, learned probes", "PyTorch SDPA"
CASES = {
    LEARNED: None,
    "causal, streaming": Case("causal", S, (("landmark_value", "streaming"),)),
    "causal": Case("causal", S),
    "exact_causal": Case("exact_causal"),
    SDPA: Case("exact_causal"),
}
COLOURS = dict(zip(CASES, (LATER, "#00838f", FAR, NEAR, GREY)))


def spec(name, n):
    if name != LEARNED:
        return CASES[name].spec(n, D)
    return {
        "layout": "causal",
        "head_dim": D,
        "landmarks": n // S,
        "segment_len": S,
        "landmark_source": "learned",
        "probes": PROBES,
        "landmark_spacing": "dyadic",
        "level_width": WIDTH,
    }


def blocks_before(segments):
    """Of each number E of segments before the near ones, the blocks that are seen."""
    left, count = segments.copy(), numpy.zeros_like(segments)
    while left.any():
        near = numpy.minimum(left, WIDTH + (left - WIDTH) % 2)
        count += near
        left = (left - near) // 2
    return count


def pairs(name, n):
    """A position."""
    if name != LEARNED:
        return flops(CASES[name], n, D) / (4 * D * n)
    i = numpy.arange(n)
    near = numpy.sum(i % S + 1)
    far = PROBES * S * numpy.sum(blocks_before(numpy.arange(n // S)))
    summaries = 1.5 * PROBES * n  # a product for weights and one each for keys and values
    merges = 2 * PROBES * (n // S)
    return (near + far + summaries + merges) / n


def goes_on(name, n, last):
    """Whether a method is measured at n; `last`: {length: ms} of its own, so far."""
    case = CASES[name]
    if case and case.s and n // S > MOST_LANDMARKS:
        return False
    done = sorted(last)
    if len(done) < 2:
        return True
    growth = max(last[done[-1]] / last[done[-2]], 2)
    return done[-1] == n // 2 and last[done[-1]] * growth < MOST_MS


def measure(arguments):
    """{method: {length: ms}}, and memory between kernels a segment and head in floats."""
    torch.manual_seed(0)
    torch.set_num_threads(arguments.threads)
    torch.set_grad_enabled(False)
    attention = torch.nn.functional.scaled_dot_product_attention
    runtime = Runtime(threads=arguments.threads)
    probes = torch.randn(HEADS, PROBES, D)
    times, workspace = {name: {} for name in CASES}, {}
    for n in (n for n in LENGTHS if n <= arguments.longest):
        q, k, v = (torch.randn(1, HEADS, n, D) for _ in range(3))
        o = torch.empty_like(q)
        calls = {}
        for name in CASES:
            if not goes_on(name, n, times[name]):
                continue
            if name == SDPA:
                calls[name] = lambda: attention(q, k, v, is_causal=True)
                continue
            more = {"landmark_q": probes} if name == LEARNED else {}
            calls[name] = runtime.bind(runtime.prepare(spec(name, n)), q, k, v, o, **more)
        for name, ms in zip(calls, median_ms(list(calls.values()), arguments.repeat, seconds=20)):
            times[name][n] = ms
        workspace[n] = calls[LEARNED].workspace / 4 / HEADS / (n // S)
        print(n, {name: round(each[n], 2) for name, each in times.items() if n in each}, flush=True)
    return times, workspace


def rows_of(times, workspace):
    def cell(name, n):
        return f"{times[name][n]:.4g}" if n in times[name] else ""

    rows = []
    for n in times[LEARNED]:
        ms, half = times[LEARNED][n], times[LEARNED].get(n // 2)
        ratio = lambda name: f"{ms / times[name][n]:.3f}" if n in times[name] else ""
        rows.append(
            [
                n,
                *(cell(name, n) for name in CASES),
                f"{ms / half:.2f}" if half else "",
                ratio("causal"),
                ratio(SDPA),
                *(f"{pairs(name, n):.0f}" for name in (LEARNED, "causal", "exact_causal")),
                f"{workspace[n]:.0f}",
            ]
        )
    return rows


def draw(times, path):
    """Time and pairs over the length, all logarithmic."""
    width, height, lefts, top = 430, 330, (70, 600), 64
    drawing = Drawing(lefts[1] + width + 24, top + height + 120)
    drawing.text(26, 26, f"Cost over length, {HEADS} heads, segments of {S}", 19, bold=True)
    ms = [each for of in times.values() for each in of.values()]
    counts = {name: {n: pairs(name, n) for n in times[name]} for name in times if name != SDPA}
    weighed = [each for of in counts.values() for each in of.values()]
    panels = [
        (lefts[0], "milliseconds, float32, head_dim 64, two threads", times, min(ms), max(ms)),
        (lefts[1], "pairs weighed, a position and head", counts, min(weighed), max(weighed)),
    ]
    lengths = list(times[LEARNED])
    x = lambda left, n: (
        left + numpy.log(n / lengths[0]) / numpy.log(lengths[-1] / lengths[0]) * width
    )
    for left, title, series, least, most in panels:
        y = lambda value: top + height - numpy.log(value / least) / numpy.log(most / least) * height
        drawing.text(left, top - 12, title, 14)
        for n in lengths[::2]:
            drawing.line([(x(left, n), top), (x(left, n), top + height)], "#e2e5e8")
            name = f"{n >> 10}k" if n < 1 << 20 else "1M"
            drawing.text(x(left, n), top + height + 17, name, 11, "#555", "middle")
        for exponent in range(-2, 6):
            tick = 10.0**exponent
            if least <= tick <= most:
                drawing.line([(left, y(tick)), (left + width, y(tick))], "#e2e5e8")
                drawing.text(left - 8, y(tick) + 4, f"{tick:g}", 11, "#555", "end")
        drawing.line([(left, top), (left, top + height), (left + width, top + height)])
        for name, values in series.items():
            points = [(x(left, n), y(value)) for n, value in values.items()]
            drawing.line(points, COLOURS[name], 3 if name == LEARNED else 2)
            for point in points:
                drawing.mark(*point, COLOURS[name], radius=3)
        drawing.text(left + width / 2, top + height + 38, "length n", 13, INK, "middle")
    for index, name in enumerate(times):
        at, row = lefts[0] + index % 3 * 260, top + height + 72 + index // 3 * 24
        drawing.mark(at, row - 4, COLOURS[name])
        drawing.text(at + 14, row, name)
    drawing.save(path)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--longest", type=int, default=LENGTHS[-1])
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--save")
    arguments = parser.parse_args()
    times, workspace = measure(arguments)
    lines = markdown(
        f"B1 H{HEADS} d{D} float32, segment_len {S}, {PROBES} probes, dyadic, level_width {WIDTH}, "
        f"{arguments.threads} threads: ms, medians of up to {arguments.repeat} rounds",
        [
            "n",
            *CASES,
            "learned, by half the length",
            "by causal",
            "by SDPA",
            "pairs a position, learned",
            "causal",
            "exact",
            "workspace, floats a segment and head",
        ],
        rows_of(times, workspace),
    )
    publish(lines)
    if arguments.save:
        draw(times, ROOT / "docs/layouts/learned-cost.svg")


main()
