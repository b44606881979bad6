"""What a GPU would move and multiply, counted by the emulator: each launch's distinct 32-byte
sectors, summed, beside the least that the layout's passes over q, k, v and o need, and tensor-core
operations beside those of the 64 x 64 tiles that touch the mask; of learned probes' far blocks and
summaries of the tiles of 16 blocks or probes, the least that tensor cores take.

q, k and v are float16, o float32; a pass is d numbers a position and head. "sectors" is the bytes
of all launches' sectors over those of the passes that docs/architecture.md states, with the
landmarks' vectors and numbers once. n 2048, B1 H1; sm_80; scan at twice that: its last 2048
positions' k and v go by once only, and its m x m matrices do not grow with n.
usage: traffic.py [--length N] [--save FILE]
"""

import argparse
import json
import subprocess
import tempfile

import numpy

from harness import BUILD, table

# Passes over q, k, v and o; of prefix_lm with half of the positions source, whose rows read no near
# keys and values.
PASSES = {
    "causal": (2, 3, 2, 1),
    "streaming": (2, 2, 2, 1),
    "exact_causal": (1, 1, 1, 1),
    "bidirectional": (2, 2, 1, 1),
    "segment_causal": (2, 2, 1, 1),
    "prefix_lm": (2, 2.5, 1.5, 1),
    "learned": (1, 2, 2, 1),
    "dyadic": (1, 2, 2, 1),
}
PROBES = 4
SPLIT = 2048  # positions of a part; scan's last part has no sums
TILE = 64


def passes_of(layout, n):
    again = max(n - SPLIT, 0) / n
    return PASSES[layout] if layout != "scan" else (1, 1 + again, 1 + again, 1)


def emulate(spec, n, more, gradients=()):
    """The launches' counts; with gradients those of a saving and of a backward program."""
    with tempfile.TemporaryDirectory() as folder:
        rng = numpy.random.default_rng(0)
        tensors = {
            name: rng.standard_normal((1, 1, n, spec["head_dim"])).astype(numpy.float16)
            for name in ("q", "k", "v", *(["dout"] if gradients else []))
        } | more
        files = []
        for name, x in tensors.items():
            numpy.save(f"{folder}/{name}.npy", x)
            files += ["--" + name, f"{folder}/{name}.npy"]
        for name in gradients:
            files += ["--" + name, f"{folder}/{name}.npy"]
        with open(f"{folder}/spec.json", "w") as file:
            json.dump(spec, file)
        done = subprocess.run(
            [
                BUILD / "bin/nysjit",
                "run",
                f"{folder}/spec.json",
                "--device",
                "ptx-emulator",
                "--target",
                "cuda:sm_80",
                *files,
                "-o",
                f"{folder}/o.npy",
                "--json",
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        result = json.loads(done.stdout)
        launches = result["launches"]
        return (launches, result["backward"]["launches"]) if gradients else launches


def ceil(a, b):
    return -(-a // b)


def left(segments, level):
    """Blocks of a level, of dyadic ones of width 1, when the levels before have taken theirs."""
    return max(((segments + 1) >> level) - 1, 0)


def probe_flops(layout, n, d, m, segment_len):
    """The same of learned probes, whose far tiles are 64 x 16 a probe."""
    dot, near, far = 2 * TILE * 16 * d, 0, 0
    for r in range(ceil(n, TILE)):
        first, last = r * TILE // segment_len, (r * TILE + TILE - 1) // segment_len
        near += ceil((r + 1) * TILE - first * segment_len, TILE) * 4
        levels = range(m.bit_length() + 1) if layout == "dyadic" else []
        dyadic = sum(left(last, level) - 2 * left(first, level + 1) for level in levels)
        far += ceil(dyadic if layout == "dyadic" else last, 16)
    return {
        "causal_output": 2 * dot * near + 3 * PROBES * dot * far,
        "probe_summary": 4 * 2 * 16 * d * segment_len * (n // segment_len),
    }


def tile_flops(layout, n, d, m, segment_len):
    """By kernel, of 64 x 64 tiles that hold at least one pair: a dot is 2 * 64 * 64 * d, logits of
    landmarks two of them."""
    if layout in ("learned", "dyadic"):
        return probe_flops(layout, n, d, m, segment_len)
    dot, rows, lands = 2 * TILE * TILE * d, ceil(n, TILE), ceil(m, TILE)
    near = far = 0
    for r in range(rows):
        first, last = r * TILE // segment_len, (r * TILE + TILE - 1) // segment_len
        near += ceil((r + 1) * TILE - first * segment_len, TILE)
        far += ceil(last, TILE)
    past = sum(ceil(min((g + 1) * TILE, m) * segment_len, TILE) for g in range(lands))
    return {
        "exact_causal": {"exact_causal": 2 * dot * rows * (rows + 1) // 2},
        "causal": {
            "causal_output": 2 * dot * near + 3 * dot * far,
            "landmark_past": 3 * dot * past,
        },
        "streaming": {"causal_output": 2 * dot * near + 3 * dot * far},
        "bidirectional": {
            "source_output": 3 * dot * rows * lands,
            "landmark_past": 3 * dot * rows * lands,
        },
    }.get(layout, {})


def cases_of(base, d, s):
    """Each layout's keys and further tensors, for segments of s positions; what has none once."""
    segments = {"landmarks": base // s, "segment_len": s}
    learned = {
        name: numpy.random.default_rng(1).standard_normal((1, 64, d)).astype(numpy.float16)
        for name in ("landmark-q", "landmark-k")
    }
    cases = {
        "causal": (segments, {}),
        "streaming": ({"layout": "causal", "landmark_value": "streaming"} | segments, {}),
        "prefix_lm": (segments, {"source-len": numpy.array([base // 2], numpy.int32)}),
        "segment_causal": (segments, {}),
        "bidirectional": (segments, {}),
    }
    probes = {"layout": "causal", "landmark_source": "learned", "probes": PROBES} | segments
    points = {"landmark-q": learned["landmark-q"][:, :PROBES]}
    cases |= {
        "learned": (probes, points),
        "dyadic": (probes | {"landmark_spacing": "dyadic"}, points),
    }
    if s == 64:
        cases |= {
            "exact_causal": ({}, {}),
            "scan": ({"landmarks": 64, "landmark_source": "learned"}, learned),
        }
    return cases


def runs():
    """(layout, n, d, positions of a segment, spec, further tensors) of each line of a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--length", type=int, default=2048)
    parser.add_argument("--save")
    base = parser.parse_args().length
    for d in (64, 128):
        for s in (64, 256):
            for layout, (keys, more) in cases_of(base, d, s).items():
                n = 2 * base if layout == "scan" else base
                spec = {"layout": layout, "head_dim": d, "dtype": "float16"} | keys
                yield layout, n, d, s, spec, more


def main():
    rows = []
    for layout, n, d, s, spec, more in runs():
        launches = emulate(spec, n, more)
        q, k, v, o = passes_of(layout, n)
        m = spec.get("landmarks", 0)
        numbers = m * (3 * d + 2)
        if layout in ("learned", "dyadic"):
            blocks = m if layout == "learned" else 2 * m - 1
            numbers = blocks * PROBES * (2 * d + 3)
        least = n * d * (2 * (q + k + v) + 4 * o) + 4 * numbers
        moved = 32 * sum(launch["counts"]["global_sectors"] for launch in launches)
        flops = tile_flops(layout, n, d, m, s)
        ratios = [
            f"{l['kernel']} {l['counts']['mma_flops'] / flops[l['kernel']]:.2f}"
            for l in launches
            if l["kernel"] in flops
        ]
        rows.append(
            [
                layout,
                n,
                d,
                spec.get("segment_len", ""),
                f"{q + k + v:g} + {o}",
                f"{moved / n / d:.1f}",
                f"{moved / least:.2f}",
                ", ".join(ratios),
                ", ".join(
                    f"{l['kernel']} {32 * l['counts']['global_sectors'] / n / d:.1f}"
                    for l in launches
                ),
            ]
        )
    table(
        "Bytes and tensor-core operations of float16 kernels, B1 H1, sm_80, emulated",
        [
            "layout",
            "n",
            "d",
            "segment_len",
            "passes",
            "bytes / (n d)",
            "of the least",
            "mma of tiles under the mask",
            "bytes / (n d) by launch",
        ],
        rows,
    )


if __name__ == "__main__":
    main()
