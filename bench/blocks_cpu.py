"""How far the defaults of a CPU's block sizes are from the best, kernel by kernel.

Each program has one candidate for all kernels: block_m x block_n of 16, 32, 64 and 128, split 0.
The programs, and the defaults, run in turn in random order; a kernel's figure is the median over
the rounds of its time by the defaults' of the same round. One thread, float32, B1, 8 heads. What
the sums over landmarks cost hangs on how many landmarks the *spec* allows and how many a length
has: both many and few are measured.
usage: blocks_cpu.py [--targets cpu:x86-64-v3,cpu:x86-64-v4] [--lengths 512,2048,8192]
  [--cases causal-256,...] [--rounds 12] [--seed 1] [--save FILE]
"""

import argparse
import itertools
import random
import statistics

import numpy as np

from harness import Runtime, table

HEADS, HEAD_DIM = 8, 64
SIZES = (16, 32, 64, 128)


def spec(layout, landmarks, segment_len=64, **more):
    return {
        "layout": layout,
        "head_dim": HEAD_DIM,
        "landmarks": landmarks,
        "segment_len": segment_len,
        **more,
    }


CASES = {
    "exact": {"layout": "exact_causal", "head_dim": HEAD_DIM},
    "causal-256": spec("causal", 256),
    "causal-64": spec("causal", 64, 256),
    "streaming-256": spec("causal", 256, landmark_value="streaming"),
    "segment-256": spec("segment_causal", 256),
    "bidirectional-64": {"layout": "bidirectional", "head_dim": HEAD_DIM, "landmarks": 64},
    "prefix-64": {"layout": "prefix_lm", "head_dim": HEAD_DIM, "landmarks": 64},
    "prefix-256": spec("prefix_lm", 256),
    "scan-64": {
        "layout": "scan",
        "head_dim": HEAD_DIM,
        "landmarks": 64,
        "landmark_source": "first_k",
        "first_k": 128,
    },
    "scan-32": {
        "layout": "scan",
        "head_dim": HEAD_DIM,
        "landmarks": 32,
        "landmark_source": "learned",
    },
}


def more_inputs(layout, n, landmarks):
    if layout == "prefix_lm":
        return {"source_len": np.array([n // 2], np.int32)}
    if layout == "scan-learned":
        numbers = np.random.default_rng(7)
        return {
            name: numbers.standard_normal((HEADS, landmarks, HEAD_DIM)).astype(np.float32)
            for name in ("landmark_q", "landmark_k")
        }
    return {}


class Sweep:
    """Programs of one case and target: the defaults and every candidate that compiles."""

    def __init__(self, runtime, name, target):
        self.runtime, self.spec, self.target = runtime, CASES[name], target
        default = runtime.prepare(self.spec, target=target)
        self.defaults = runtime.config(default)
        self.programs = {None: default}
        for m, n in itertools.product(SIZES, SIZES):
            config = {}
            for kernel, block in self.defaults.items():
                sizes = {"block_m": m, "block_n": n, "split": 0}
                config[kernel] = {key: sizes[key] for key in block if key in sizes}
            try:
                self.programs[m, n] = runtime.prepare(self.spec, config, target)
            except RuntimeError as error:
                print(f"{name} {m}x{n}: {error}")

    def measure(self, n, rounds):
        """{kernel: {candidate: median of its time by the defaults'}}, and the defaults' ms."""
        numbers = np.random.default_rng(3)
        q, k, v = (
            numbers.standard_normal((1, HEADS, n, HEAD_DIM)).astype(np.float32) for _ in range(3)
        )
        o = np.empty_like(q)
        layout = self.spec["layout"]
        if self.spec.get("landmark_source") == "learned":
            layout = "scan-learned"
        more = more_inputs(layout, n, self.spec.get("landmarks"))
        calls = {
            candidate: self.runtime.bind(program, q, k, v, o, **more)
            for candidate, program in self.programs.items()
        }
        ratios, milliseconds = {}, {}
        for call in calls.values():
            call()
        for _ in range(rounds):
            order = list(calls)
            random.shuffle(order)
            times = {}
            for candidate in order:
                calls[candidate]()
                times[candidate] = {kernel: ms for kernel, _, ms in calls[candidate].launches()}
            for kernel, ms in times[None].items():
                milliseconds.setdefault(kernel, []).append(ms)
                for candidate, of_candidate in times.items():
                    if candidate and kernel in of_candidate:
                        ratio = of_candidate[kernel] / max(ms, 1e-6)
                        ratios.setdefault(kernel, {}).setdefault(candidate, []).append(ratio)
        medians = {
            kernel: {candidate: statistics.median(r) for candidate, r in of_kernel.items()}
            for kernel, of_kernel in ratios.items()
        }
        return medians, {k: statistics.median(ms) for k, ms in milliseconds.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--targets", default="cpu:x86-64-v3,cpu:x86-64-v4")
    parser.add_argument("--lengths", default="512,2048,8192")
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save", help="for harness.publish")
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    runtime = Runtime(threads=1)
    lengths = [int(n) for n in arguments.lengths.split(",")]
    rows = []
    for target in arguments.targets.split(","):
        for name in arguments.cases.split(","):
            sweep = Sweep(runtime, name, target)
            for n in lengths:
                medians, milliseconds = sweep.measure(n, arguments.rounds)
                total = sum(milliseconds.values())
                for kernel, ratios in medians.items():
                    if not any(key in sweep.defaults[kernel] for key in ("block_m", "block_n")):
                        continue
                    best = sorted(ratios, key=ratios.get)[:3]
                    block = sweep.defaults[kernel]
                    own = "x".join(str(block[k]) for k in ("block_m", "block_n") if k in block)
                    rows.append(
                        [
                            target.removeprefix("cpu:"),
                            name,
                            n,
                            kernel,
                            f"{100 * milliseconds[kernel] / total:.0f} %",
                            own,
                            ", ".join(f"{m}x{b} {ratios[m, b]:.2f}" for m, b in best),
                        ]
                    )
                    print(*rows[-1], sep="  ", flush=True)
    table(
        "Block sizes against the defaults, by the defaults' time",
        ["target", "case", "n", "kernel", "of the run", "default", "best"],
        rows,
    )


main()
