"""What ptxas makes of every kernel: registers, spills and its time, over layout x head_dim x
landmarks x dtype x target.

A row is a kernel of a dtype and target; its figures are the most over the head_dims and landmarks
that were compiled, causal and segment_causal with segment_len 64 and without, and the head_dims
with which it spills. "learned" is causal with learned probes. With `--pass backward` those of
backward programs, each layout's by themselves; with `--spilling` only what spills has a row. A spec
that does not compile or assemble (ptxas's notes C7504 to C7519 are errors) is listed below the
table and makes the exit status 1. The whole product takes hours; each list can be cut.

usage: gpu_product.py [--layouts causal] [--head-dims 64,128] [--landmarks 64] [--dtypes float32]
  [--targets cuda:sm_80] [--pass backward] [--spilling] [--jobs 2] [--save FILE]
"""

import argparse
import concurrent.futures
import itertools
import json
import os
import pathlib
import subprocess
import sys
import tempfile

from harness import BUILD, table

HEAD_DIMS = range(16, 257, 8)
LANDMARKS = [16, 64, 256, 1024]
DTYPES = ["float32", "float16", "bfloat16"]
LAYOUTS = [
    "exact_causal",
    "causal",
    "learned",
    "segment_causal",
    "bidirectional",
    "prefix_lm",
    "scan",
]
TARGETS = [f"cuda:sm_{sm}" for sm in (80, 86, 89, 90, 100, 120)]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--head-dims",
        type=lambda text: [int(word) for word in text.split(",")],
        default=list(HEAD_DIMS),
    )
    parser.add_argument(
        "--landmarks", type=lambda text: [int(word) for word in text.split(",")], default=LANDMARKS
    )
    parser.add_argument("--layouts", type=lambda text: text.split(","), default=LAYOUTS)
    parser.add_argument("--dtypes", type=lambda text: text.split(","), default=DTYPES)
    parser.add_argument("--targets", type=lambda text: text.split(","), default=TARGETS)
    parser.add_argument("--pass", dest="which", choices=["forward", "backward"], default="forward")
    parser.add_argument("--spilling", action="store_true")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--save", help="for harness.table")
    return parser.parse_args()


def learned(landmarks, common):
    """causal with learned probes: blocks of both spacings, segments of whole tiles and of none."""
    spec = {"layout": "causal", "landmark_source": "learned", "probes": 4, **common}
    for count in landmarks:
        yield {**spec, "landmarks": count}
        for segment_len in (64, 48):
            yield {**spec, "landmarks": count, "segment_len": segment_len}
            yield {
                **spec,
                "landmarks": count,
                "segment_len": segment_len,
                "landmark_spacing": "dyadic",
            }


def specs(options):
    for head_dim, dtype in itertools.product(options.head_dims, options.dtypes):
        common = {"head_dim": head_dim, "dtype": dtype}
        if options.which != "forward":
            common["pass"] = options.which
        for layout in options.layouts:
            if layout == "exact_causal":
                yield {"layout": layout, **common}
                continue
            if layout == "learned":
                yield from learned(options.landmarks, common)
                continue
            for landmarks in options.landmarks:
                if landmarks <= 512 or layout in ("causal", "segment_causal"):
                    source = {"landmark_source": "learned"} if layout == "scan" else {}
                    yield {"layout": layout, "landmarks": landmarks, **source, **common}
                    if layout in (
                        "causal",
                        "segment_causal",
                    ):  # segments of whole tiles make their own values beside B V
                        yield {
                            "layout": layout,
                            "landmarks": landmarks,
                            "segment_len": 64,
                            **common,
                        }


def compile_one(folder, number, spec, target):
    """The command's reply, or its error."""
    path = folder / f"{number}.json"
    path.write_text(json.dumps(spec))
    done = subprocess.run(
        [BUILD / "bin/nysjit", "compile", path, "--target", target, "--json"],
        capture_output=True,
        text=True,
        env={**os.environ, "NYSJIT_CACHE_DIR": str(folder / f"cache-{number}")},
    )
    return (
        spec,
        target,
        json.loads(done.stdout)
        if done.returncode == 0
        else {"error": done.stderr.strip() or done.stdout.strip()},
    )


class Row:
    """One kernel's worst figures."""

    def __init__(self):
        self.compiled = self.registers = self.spill_bytes = 0
        self.spilling = set()
        self.ptxas_ms = 0.0

    def add(self, spec, kernel, reply):
        if kernel["registers"] is None:
            sys.exit("no ptxas was found: nothing to measure")
        self.compiled += 1
        self.registers = max(self.registers, kernel["registers"])
        self.spill_bytes = max(self.spill_bytes, kernel["spill_bytes"])
        self.ptxas_ms = max(self.ptxas_ms, reply["stages_ms"]["cubin"])
        if kernel["spill_bytes"]:
            self.spilling.add(spec["head_dim"])


def main():
    options = arguments()
    rows, failures = {}, []
    with (
        tempfile.TemporaryDirectory() as name,
        concurrent.futures.ThreadPoolExecutor(options.jobs) as pool,
    ):
        work = [
            pool.submit(compile_one, pathlib.Path(name), number, spec, target)
            for number, (spec, target) in enumerate(
                itertools.product(specs(options), options.targets)
            )
        ]
        for done in concurrent.futures.as_completed(work):
            spec, target, reply = done.result()
            if "error" in reply:
                failures.append((spec, target, reply["error"]))
                continue
            for kernel in reply["kernels"]:
                name = kernel["name"]
                if "probes" in spec:
                    name += ", learned probes"
                elif "pass" in spec:
                    name += f", {spec['layout']}"
                rows.setdefault((name, spec["dtype"], target), Row()).add(spec, kernel, reply)
    table(
        "Kernels as ptxas assembles them: the most over all head_dims and landmarks"
        + (f"; of {len(rows)} rows those that spill" if options.spilling else ""),
        [
            "kernel",
            "dtype",
            "target",
            "compiled",
            "registers",
            "spilled bytes",
            "spills at head_dim",
            "ptxas ms (whole program)",
        ],
        [
            [
                *key,
                row.compiled,
                row.registers,
                row.spill_bytes,
                ", ".join(map(str, sorted(row.spilling))) or "none",
                f"{row.ptxas_ms:.0f}",
            ]
            for key, row in sorted(rows.items())
            if row.spill_bytes or not options.spilling
        ],
        notes=[
            f"Not compiled: `{json.dumps(spec)}` for {target}: {error}\n"
            for spec, target, error in failures
        ],
    )
    if failures:
        sys.exit(1)


main()
