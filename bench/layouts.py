"""Every layout beside exact attention: its error on real and synthetic queries and keys, its time,
its cost and what leaks.

The error is ||O - exact|| / ||exact|| over all heads, exact in numpy's float64: causal attention
for the causal layouts and segment_causal, full attention for bidirectional, prefix attention (half
of the positions are the source) for prefix_lm. What the compiler refuses is skipped and listed.
With --save FILE the pictures go to docs/layouts, too. Needs a build (tests/run.sh or
examples/quickstart.sh) and numpy (python3-numpy on Debian, or pip install numpy). Some minutes on
two cores.
usage: layouts.py [--repeat R] [--threads T] [--pictures FOLDER] [--save FILE]
"""

import argparse
import os
import pathlib

import numpy as np

import layout_pictures
from harness import ROOT, Runtime, markdown, median_ms, publish
from layout_cases import (
    Case,
    Inputs,
    all_cases,
    bind,
    error,
    exact_attention,
    flops,
    normal,
    real,
    walk,
)


def measure(runtime, cases, inputs, repeat, refused, seconds=60):
    """{case: (its error as text, error, ms, workspace bytes a head)}; refused gets what was not
    run, and why."""
    q, k, v = inputs.tensors
    n = inputs.shape[2]
    exact = {name: exact_attention(inputs, name) for name in ("causal", "full", "prefix")}
    calls, found = {}, {}
    for case in cases:
        o = np.empty_like(q)
        try:
            calls[case] = bind(runtime, case, q, k, v, o, inputs.other)
        except RuntimeError as message:
            refused[f"{case.name} is skipped: {message}"] = True
            continue
        calls[case]()
        reference = exact[case.exact]
        if not np.isfinite(o).all():
            raise SystemExit(f"{case}: expected finite outputs, found others")
        found[case] = [
            f"{error(o, reference):.3f}"
            if case.layout != "exact_causal"
            else f"{error(o, reference):.0e}",
            error(o, reference),
        ]
        if case.layout == "prefix_lm":
            found[case][0] += f" (target {error(o[:, :, n // 2 :], reference[:, :, n // 2 :]):.3f})"
        if case.get("landmark_source") == "learned" and inputs.name == "real":
            found[case][0] += f" (held out {held_out(runtime, case, inputs):.3f})"
    times = median_ms(list(calls.values()), repeat, seconds) if repeat else [None] * len(calls)
    return {
        case: (*found[case], ms, calls[case].workspace / inputs.shape[1])
        for case, ms in zip(calls, times)
    }


def character(inputs):
    """What tells the inputs apart, in a sentence."""
    q, k = (x[0].astype(np.float64) for x in inputs.tensors[:2])
    scores = [q[head] @ k[head].T / np.sqrt(q.shape[2]) for head in range(len(q))]
    mean = np.sum(q.mean(1) ** 2) / np.mean(np.sum(q**2, (0, 2)))
    deviation = np.mean([x.std() for x in scores])
    return (
        f"{inputs.name}: a head's scores have a standard deviation of {deviation:.1f}; "
        f"its mean query holds {100 * mean:.0f} % of the queries' squared length."
    )


def milliseconds(ms):
    return "" if ms is None else f"{ms:.2f}" if ms < 10 else f"{ms:.1f}"


def held_out(runtime, case, inputs):
    """The first half of the text under landmarks that are the second half's segment means."""
    half = inputs.shape[2] // 2
    first = [np.ascontiguousarray(x[:, :, :half]) for x in inputs.tensors]
    second = tuple(np.ascontiguousarray(x[:, :, half:]) for x in inputs.tensors[:2])
    o = np.empty_like(first[0])
    bind(runtime, case, *first, o, second)()
    return error(o, exact_attention(Inputs("half", tuple(first), second), "causal"))


def error_table(results, shapes):
    rows = []
    for case in results["real"]:
        cells = {name: found.get(case) for name, found in results.items()}
        share = (
            100
            * flops(case, shapes["walk"][2], shapes["walk"][3])
            / flops(Case("exact_causal"), *shapes["walk"][2:])
        )
        landmarks = (
            " / ".join(str(case.landmarks(shapes[name][2])) for name in ("real", "walk"))
            if case.s and case.layout != "own segment"
            else ""
        )
        rows.append(
            [
                case.name,
                case.s or "",
                landmarks,
                case.setting,
                cells["real"][0],
                milliseconds(cells["real"][2]),
                cells["walk"][0],
                cells["normal"][0],
                milliseconds(cells["walk"][2]),
                f"{share:.1f} %",
            ]
        )
    size = lambda name: "H{1} n{2} d{3}".format(*shapes[name])
    return markdown(
        "Error against exact attention, and time",
        [
            "layout",
            "s",
            "landmarks",
            "setting",
            f"error, real ({size('real')})",
            "ms, real",
            f"error, walk ({size('walk')})",
            "error, normal",
            "ms, walk",
            "FLOPs of exact_causal's, walk",
        ],
        rows,
    )


COST_CASES = [
    ("exact_causal", Case("exact_causal")),
    ("causal", Case("causal", 64)),
    ("causal, streaming", Case("causal", 64, (("landmark_value", "streaming"),))),
    ("segment_causal", Case("segment_causal", 64)),
    ("bidirectional", Case("bidirectional", 64)),
    ("prefix_lm", Case("prefix_lm", 64)),
    ("scan learned", Case("scan", 64, (("landmark_source", "learned"),))),
    ("scan first_k", Case("scan", 64, (("landmark_source", "first_k"),))),
]


def cost_table(runtime, lengths, repeat, refused):
    """One head of each length, once in segments of 64 and once with 64 landmarks."""
    rows, d, random = [], 64, np.random.default_rng(4)
    tensors = {
        n: [random.standard_normal((1, 1, n, d)).astype(np.float32) for _ in range(4)]
        for n in lengths
    }
    labels, calls, missing = [], [], set()
    for fixed in ("s 64", "64 landmarks"):
        for name, case in COST_CASES:
            if (
                fixed == "s 64"
                and case.layout == "scan"
                or fixed != "s 64"
                and case.layout == "exact_causal"
            ):
                continue
            try:
                for n in lengths:
                    sized = (
                        case
                        if fixed == "s 64" or not case.s
                        else Case(case.layout, n // 64, case.options)
                    )
                    calls.append((bind(runtime, sized, *tensors[n]), flops(sized, n, d)))
                labels.append((name, "" if case.layout == "exact_causal" else fixed))
            except RuntimeError as message:
                refused[f"{name} is skipped: {message}"] = True
    times = median_ms([call for call, _ in calls], repeat, 60) if repeat else [None] * len(calls)
    for index, (name, fixed) in enumerate(labels):
        part = range(index * len(lengths), (index + 1) * len(lengths))
        rows.append(
            [
                name,
                fixed,
                *(f"{calls[i][1] / 1e9:.3f}" for i in part),
                *(f"{calls[i][0].workspace / 1024:.0f}" for i in part),
                *(milliseconds(times[i]) for i in part),
            ]
        )
    header = [
        "layout",
        "fixed",
        *(f"GFLOP, n {n}" for n in lengths),
        *(f"workspace KiB, n {n}" for n in lengths),
        *(f"ms, n {n}" for n in lengths),
    ]
    return markdown(f"Cost of one head, d {d}, float32", header, rows)


def replaced(x, start, random):
    """x with other values from position `start` on, of each head's own spread."""
    y, later = x.copy(), x[:, :, start:]
    y[:, :, start:] = random.standard_normal(later.shape) * x.std((2, 3), keepdims=True)
    return y


def row_changes(runtime, case, inputs, rows, source_len=None):
    """For each i in rows: (rows <= i with a changed bit, relative change of rows <= i, of row i)
    when all after i is replaced."""
    random = np.random.default_rng(5)
    q, k, v = (x.copy() for x in inputs.tensors)
    before, o = np.empty_like(q), np.empty_like(q)
    bind(runtime, case, q, k, v, before, inputs.other, source_len)()
    call = bind(runtime, case, q, k, v, o, inputs.other, source_len)
    found = []
    for i in rows:
        for x, original in zip((q, k, v), inputs.tensors):
            x[...] = replaced(original, i + 1, random)
        call()
        changed = (o[:, :, : i + 1].view(np.int32) != before[:, :, : i + 1].view(np.int32)).any(
            (0, 1, 3)
        )
        per_row = (
            np.linalg.norm(o - before, axis=(1, 3))[0, : i + 1]
            / np.linalg.norm(before, axis=(1, 3))[0, : i + 1]
        )
        found.append((changed, per_row))
    return found


def leak_table(runtime, inputs, folder, refused):
    """Replaces everything after a position and looks at what came before."""
    s, n = 16, inputs.shape[2]
    cases = [
        ("exact_causal", Case("exact_causal"), None),
        ("causal", Case("causal", s), None),
        ("causal, window 1", Case("causal", s, (("window", 1),)), None),
        ("causal, streaming", Case("causal", s, (("landmark_value", "streaming"),)), None),
        ("segment_causal", Case("segment_causal", s), None),
        ("bidirectional", Case("bidirectional", s), None),
        ("prefix_lm, rows of the source", Case("prefix_lm", s), "source"),
        ("prefix_lm, rows of the target", Case("prefix_lm", s), "target"),
        ("scan learned", Case("scan", s, (("landmark_source", "learned"),)), None),
        ("scan first_k", Case("scan", s, (("landmark_source", "first_k"),)), None),
    ]
    places = np.random.default_rng(6).permutation(
        [i for i in range(n // 4, n // 2) if i % s < s - 1]
    )[:32]  # not the last of a segment
    rows, shown = [], {}
    for name, case, part in cases:
        after = places + (n // 2 if part == "target" else 0)
        try:
            found = row_changes(runtime, case, inputs, after)
        except RuntimeError as message:
            refused[f"{case.name} is skipped: {message}"] = True
            continue
        begin = n // 2 if part == "target" else 0
        earlier = [changed[begin : i // s * s] for (changed, _), i in zip(found, after)]
        own = [changed[i // s * s :] for (changed, _), i in zip(found, after)]
        most = max(per_row[begin:].max() for _, per_row in found)
        percent = lambda parts: (
            f"{100 * np.concatenate(parts).mean():.0f} %" if np.concatenate(parts).any() else "none"
        )
        rows.append([name, percent(earlier), percent(own), f"{most:.2f}" if most else "0"])
        if name in ("causal", "segment_causal"):
            shown[name] = [
                per_row[-1] for _, per_row in row_changes(runtime, case, inputs, range(256, 320))
            ]
    if folder:
        layout_pictures.draw_leak(shown, s, 256, folder / "leak.svg")
    inside = np.array(shown["segment_causal"]).reshape(-1, s)
    sentence = (
        f"Row i of segment_causal, i from 256 to 319, changes by {inside[:, 0].mean():.2f} when "
        f"i is the first position of its segment, by {inside[:, s // 2].mean():.2f} in the middle "
        f"and by {inside[:, -1].mean():.2g} when it is the last (means of four segments)."
    )
    return [
        *markdown(
            f"What leaks: all positions after i replaced, real tensors, s {s}, 32 places i",
            [
                "layout",
                "rows of earlier segments with a changed bit",
                "rows of i's own segment up to i with one",
                "largest relative change of a row",
            ],
            rows,
        ),
        "",
        sentence,
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeat", type=int, default=7, help="rounds of timing; 0: none")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument(
        "--pictures", type=pathlib.Path, help="where pictures go; docs/layouts with --save"
    )
    parser.add_argument("--save")
    arguments = parser.parse_args()
    folder = arguments.pictures or (ROOT / "docs/layouts" if arguments.save else None)
    runtime, refused, cases = Runtime(threads=arguments.threads), {}, all_cases()
    sets = [real(), walk(), normal()]
    shapes = {inputs.name: inputs.shape for inputs in sets}
    results = {
        inputs.name: measure(
            runtime, cases, inputs, 0 if inputs.name == "normal" else arguments.repeat, refused
        )
        for inputs in sets
    }
    lines = [
        *error_table(results, shapes),
        "",
        *cost_table(runtime, (1024, 4096, 16384), arguments.repeat, refused),
        "",
        *leak_table(runtime, sets[0], folder, refused),
    ]
    if folder:
        for message in layout_pictures.draw_masks(runtime, folder):
            refused[f"picture {message}"] = True
        if arguments.repeat:
            titles = {
                "real": "real queries, keys and values: 12 heads, n 512, d 32",
                "walk": "slow random walk: 4 heads, n 4096, d 64",
            }
            layout_pictures.draw_errors(
                [
                    (title, {case: (e, ms) for case, (_, e, ms, _) in results[name].items()})
                    for name, title in titles.items()
                ],
                folder / "errors.svg",
            )
    notes = [
        *map(character, sets),
        f"float32, {arguments.threads} threads, medians of up to {arguments.repeat} rounds of all "
        "settings in turn.",
        *refused,
    ]
    notes = [line for note in notes for line in (note, "")]  # paragraphs
    publish(lines, notes)


main()
