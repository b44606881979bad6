"""Compile times: five new processes with empty caches, then five that find the program on disk.

The compiler is in the page cache (one run before is not counted). compile_ms and load_ms are from
the spec to a callable program, the compiler worker's start included.

usage: cold_compile.py [--save FILE]
"""

import json
import pathlib
import statistics
import subprocess
import tempfile

from harness import BUILD, table

SPECS = [
    ({"layout": "exact_causal", "head_dim": 64}, 110),
    ({"layout": "causal", "head_dim": 64, "landmarks": 64, "segment_len": 64}, 300),
    ({"layout": "causal", "head_dim": 64, "landmarks": 64}, 300),
    (
        {
            "layout": "causal",
            "head_dim": 64,
            "landmarks": 64,
            "segment_len": 64,
            "landmark_value": "streaming",
        },
        300,
    ),
]


def compile_once(spec_path, cache):
    done = subprocess.run(
        [BUILD / "bin/nysjit", "compile", spec_path, "--json"],
        capture_output=True,
        text=True,
        check=True,
        env={"NYSJIT_CACHE_DIR": str(cache)},
    )
    return json.loads(done.stdout)


def main():
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for number, (spec, goal) in enumerate(SPECS):
            path = folder / f"{number}.json"
            path.write_text(json.dumps(spec))
            compile_once(path, folder / "warm-up")
            cold = [compile_once(path, folder / f"{number}-{i}") for i in range(5)]
            hits = [compile_once(path, folder / f"{number}-0") for _ in range(5)]
            assert all(r["cache"] == "compiled" for r in cold) and all(
                r["cache"] == "disk" for r in hits
            )
            stages = {
                stage: statistics.median(r["stages_ms"][stage] for r in cold)
                for stage in cold[0]["stages_ms"]
            }
            rows.append(
                [
                    f"`{json.dumps(spec)}`",
                    f"{statistics.median(r['compile_ms'] for r in cold):.0f}",
                    goal,
                    f"{statistics.median(r['load_ms'] for r in hits):.2f}",
                    3,
                    ", ".join(f"{stage} {ms:.0f}" for stage, ms in stages.items() if ms >= 0.5),
                ]
            )
    table(
        "Compile times on the CPU, ms, median of five processes",
        ["spec", "cold", "goal", "disk hit", "goal", "of cold, in the worker, by stage"],
        rows,
    )


main()
