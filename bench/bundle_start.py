"""From the start of a process to its first result out of a bundle: examples/bundled.c, which opens
a bundle of exact_causal for two CPU targets, prepares, runs 100 positions and ends.

Beside it the start of a process that does nothing, in the same rounds. Both include what it takes
Python to start and await a process.
usage: bundle_start.py [--repeat R] [--save FILE]
"""

import argparse
import os
import pathlib
import subprocess
import tempfile
import time

from harness import BUILD, ROOT, table


def milliseconds(command):
    start = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return (time.perf_counter() - start) * 1e3


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeat", type=int, default=200)
    parser.add_argument("--save", help="for harness.publish")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bundle = pathlib.Path(folder) / "programs"
        environment = {**os.environ, "NYSJIT_CACHE_DIR": folder}
        subprocess.run(
            [BUILD / "bin/nysjit", "bundle", ROOT / "examples/bundled.json", "-o", bundle]
            + ["--target", "cpu:x86-64-v3,cpu:x86-64-v4"],
            env=environment,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        commands = {"bundled": [BUILD / "bin/bundled", bundle], "true": ["/bin/true"]}
        times = {name: [] for name in commands}
        for _ in range(arguments.repeat):
            for name, command in commands.items():
                times[name].append(milliseconds(command))
    rows = []
    for name, values in times.items():
        values.sort()
        rows.append([name, *(f"{values[int(len(values) * at)]:.2f}" for at in (0, 0.1, 0.5, 0.9))])
    table(
        "A process from its start to its end, with a result from a bundle",
        ["process", "least ms", "p10", "median", "p90"],
        rows,
    )


if __name__ == "__main__":
    main()
