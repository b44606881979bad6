"""How far the defaults of a CPU's block sizes are from the best, kernel by kernel.

`nysjit tune` over a few specs at several lengths, one thread, float32, B1, 8 heads: every kernel
with blocks of 16, 32 and 64, in rounds beside the defaults, kernels that depend on each other
together; and the verdict on the fastest over all lengths, in fresh pairs of whole runs. What the
sums over landmarks cost hangs on how many landmarks the *spec* allows and how many a length has:
both many and few are measured.
usage: blocks_cpu.py [--targets cpu:x86-64-v3,cpu:x86-64-v4] [--lengths 512,2048,8192]
  [--cases causal-256,...] [--rounds 16] [--save FILE]
"""

import argparse
import json
import os
import pathlib
import subprocess
import tempfile

from harness import BUILD, table

HEADS, HEAD_DIM = 8, 64


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


def tuned(name, target, lengths, rounds, folder):
    """The report of a tune of one case."""
    spec = CASES[name]
    shapes = [{"length": n, "heads": HEADS} for n in lengths]
    if spec["layout"] == "prefix_lm":
        for shape in shapes:
            shape["source_len"] = shape["length"] // 2
    document = {
        "specs": [spec],
        "target": target,
        "threads": [1],
        "shapes": shapes,
        "measure": {"rounds": rounds},
        "budget": {"seconds": 3600},
    }
    file = pathlib.Path(folder, f"{name}.json")
    file.write_text(json.dumps(document))
    command = [BUILD / "bin/nysjit", "tune", file, "-o", file.with_suffix(".configs.json")]
    ran = subprocess.run(
        [*command, "--json", "--quiet", "--restart"], stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(ran.stdout)["specs"][0]


def blocks_text(config):
    """"causal_output 64x32, landmark_solve 16"."""
    return ", ".join(
        kernel + " " + "x".join(str(block[k]) for k in ("block_m", "block_n") if k in block)
        for kernel, block in config.items()
    )


def changed_text(config, default):
    """A candidate's blocks, of several kernels those that are not the default's."""
    return blocks_text({k: block for k, block in config.items() if block != default.get(k)})


def rows_of(name, target, lengths, report):
    verdict = report["tuned"]["verdict"]
    if report["tuned"].get("reason") == "noise":
        verdict = "noise"
    for group in report["groups"]:
        timed = [c for c in group["candidates"] if "ratio" in c]
        for i, n in enumerate(lengths):
            best = sorted(timed, key=lambda c: c["ratios"][i])[:3]
            yield [
                target.removeprefix("cpu:"),
                name,
                n,
                blocks_text(group["default"]),
                "; ".join(
                    f"{changed_text(c['config'], group['default'])} {c['ratios'][i]:.2f}"
                    for c in best
                ),
                verdict,
            ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--targets", default="cpu:x86-64-v3,cpu:x86-64-v4")
    parser.add_argument("--lengths", default="512,2048,8192")
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--rounds", type=int, default=16)
    parser.add_argument("--save", help="for harness.publish")
    arguments = parser.parse_args()
    lengths = [int(n) for n in arguments.lengths.split(",")]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NYSJIT_TUNE_LOCK"] = f"blocks-{os.getpid()}"
        for target in arguments.targets.split(","):
            for name in arguments.cases.split(","):
                report = tuned(name, target, lengths, arguments.rounds, folder)
                for row in rows_of(name, target, lengths, report):
                    rows.append(row)
                    print(*row, sep="  ", flush=True)
    table(
        "Block sizes against the defaults, by the defaults' time",
        ["target", "case", "n", "default", "fastest others", "verdict on the case"],
        rows,
    )


main()
