"""How often a whole tune comes to the same end on this machine, and whether what it writes down is
ever slower: N tunes of one spec, and after each a fresh comparison of its config with the defaults,
by pairs in random order.
usage: tune_repeats.py [--tune FILE] [--times 20] [--pairs 30] [--seed 1] [--save FILE]
"""

import argparse
import collections
import json
import os
import pathlib
import random
import statistics
import subprocess
import tempfile

import numpy as np

from harness import BUILD, Runtime, table

DOCUMENT = {
    "specs": [{"layout": "causal", "head_dim": 64, "landmarks": 256, "segment_len": 64}],
    "shapes": [{"length": 512, "heads": 8}, {"length": 2048, "heads": 8}],
}


def tuned(document, folder):
    file = pathlib.Path(folder, "tune.json")
    file.write_text(json.dumps(document))
    command = [BUILD / "bin/nysjit", "tune", file, "-o", pathlib.Path(folder, "configs.json")]
    ran = subprocess.run(
        [*command, "--json", "--quiet", "--restart"], stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(ran.stdout)["specs"][0]


def ratios_of(runtime, document, config, pairs):
    """By shape: the median of config's time over the defaults', and of the pairs it lost."""
    spec = document["specs"][0]
    programs = [runtime.prepare(spec, {}), runtime.prepare(spec, config)]
    for shape in document["shapes"]:
        numbers = np.random.default_rng(3)
        tensors = [
            numbers.standard_normal(
                (1, shape["heads"], shape["length"], spec["head_dim"])
            ).astype(np.float32)
            for _ in range(3)
        ]
        o = np.empty_like(tensors[0])
        calls = [runtime.bind(program, *tensors, o) for program in programs]
        for call in calls:
            call()
        ratios = []
        for _ in range(pairs):
            times = [0.0, 0.0]
            for i in random.sample([0, 1], 2):
                calls[i]()
                times[i] = sum(ms for _, _, ms in calls[i].launches())
            ratios.append(times[1] / times[0])
        yield statistics.median(ratios), sum(ratio > 1 for ratio in ratios)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tune", help="a TUNE.json of one spec, which is in it")
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save", help="for harness.publish")
    arguments = parser.parse_args()
    random.seed(arguments.seed)
    document = json.loads(pathlib.Path(arguments.tune).read_text()) if arguments.tune else DOCUMENT
    runtime = Runtime()
    rows, ends = [], collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NYSJIT_TUNE_LOCK"] = f"repeats-{os.getpid()}"
        for i in range(arguments.times):
            report = tuned(document | {"search": {"seed": i + 1}}, folder)
            config = report["config"]
            changed = {
                kernel: block
                for group in report["groups"]
                for candidate in group["candidates"]
                if candidate["is_chosen"] and config
                for kernel, block in candidate["config"].items()
                if config.get(kernel) == block
            }
            text = ", ".join(
                kernel + " " + "x".join(str(b[k]) for k in ("block_m", "block_n") if k in b)
                for kernel, b in changed.items()
            )
            found = list(ratios_of(runtime, document, config, arguments.pairs)) if config else []
            ends[text or "the defaults"] += 1
            rows.append(
                [
                    i + 1,
                    report["tuned"]["verdict"],
                    text,
                    f"{100 * report['tuned']['noise']:.1f} %",
                    ", ".join(f"{ratio:.3f} ({lost}/{arguments.pairs})" for ratio, lost in found),
                ]
            )
            print(*rows[-1], sep="  ", flush=True)
    notes = [
        f"{count} of {arguments.times} ended with {text}." for text, count in ends.most_common()
    ]
    table(
        "Tunes of one spec, and their configs in fresh pairs against the defaults",
        ["tune", "verdict", "config", "noise", "time by the defaults' (pairs lost)"],
        rows,
        notes,
    )


main()
