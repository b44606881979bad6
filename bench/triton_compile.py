"""Compile times beside Triton's: causal attention in bfloat16, d 64, 64 x 64 tiles, for sm_80, PTX
and ptxas, no GPU.

Each in new processes, in turn: with an empty cache ("cold"), then with what that left on disk.
Triton's time is triton.compile's in a process that has imported it; nysjit's is nysjit_prepare's,
its worker's start included. nysjit's program is two kernels (exact_causal and clear_padding) and a
variant of one for tensors that are not aligned; Triton's is one kernel.
usage: PYTHON_WITH_TRITON bench/triton_compile.py [--save FILE]
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from harness import BUILD, table

ROUNDS = 5
SPEC = {"layout": "exact_causal", "head_dim": 64, "dtype": "bfloat16"}


def compile_with_triton():
    """Prints the milliseconds of the first and of a second triton.compile in this process."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    import triton_kernel

    names = ["Q", "K", "V", "O", "stride", "n", "scale", "D", "BM", "BN"]
    types = ["*bf16"] * 4 + ["i32", "i32", "fp32"] + ["constexpr"] * 3

    def compiled():
        source = ASTSource(
            triton_kernel.attention,
            dict(zip(names, types)),
            {"D": 64, "BM": 64, "BN": 64},
            {(i,): [["tt.divisibility", 16]] for i in range(5)},
        )
        start = time.perf_counter()
        triton.compile(
            source, target=GPUTarget("cuda", 80, 32), options={"num_warps": 4, "num_stages": 2}
        )
        return 1e3 * (time.perf_counter() - start)

    print(json.dumps([compiled(), compiled(), triton.__version__]))


def triton_ms(cache):
    done = subprocess.run(
        [sys.executable, __file__, "--worker"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"TRITON_CACHE_DIR": str(cache)},
    )
    return json.loads(done.stdout)


def nysjit_json(spec, cache):
    done = subprocess.run(
        [BUILD / "bin/nysjit", "compile", spec, "--target", "cuda:sm_80", "--json"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"NYSJIT_CACHE_DIR": str(cache)},
    )
    return json.loads(done.stdout)


def main():
    if sys.argv[1:] == ["--worker"]:
        return compile_with_triton()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "spec.json").write_text(json.dumps(SPEC))
        cold = {"nysjit": [], "triton": []}
        disk = {"nysjit": [], "triton": [], "again": []}
        stages = []
        for i in range(ROUNDS + 1):  # the first brings the compilers into the page cache
            ours, theirs = folder / f"nysjit-{i}", folder / f"triton-{i}"
            made = nysjit_json(folder / "spec.json", ours)
            assert made["cache"] == "compiled" and made["kernels"][0]["registers"] is not None, (
                "ptxas is needed"
            )
            cold["nysjit"].append(made["compile_ms"])
            stages.append(made["stages_ms"])
            cold["triton"].append(triton_ms(theirs)[0])
            disk["nysjit"].append(nysjit_json(folder / "spec.json", ours)["load_ms"])
            first, again, version = triton_ms(theirs)
            disk["triton"].append(first)
            disk["again"].append(again)
    middle = lambda times: statistics.median(times[1:])
    parts = ", ".join(
        f"{stage} {statistics.median(s[stage] for s in stages[1:]):.0f}"
        for stage in sorted(stages[0])
    )
    table(
        "Compile times for sm_80 beside Triton's, ms, medians of five processes",
        [
            "what",
            "kernels",
            "cold",
            "on disk, first in a process",
            "on disk, again",
            "of cold, in the worker, by stage",
        ],
        [
            [
                "nysjit",
                len(made["kernels"]),
                f"{middle(cold['nysjit']):.0f}",
                f"{middle(disk['nysjit']):.2f}",
                "",
                parts,
            ],
            [
                f"Triton {version}",
                1,
                f"{middle(cold['triton']):.0f}",
                f"{middle(disk['triton']):.0f}",
                f"{middle(disk['again']):.1f}",
                "",
            ],
        ],
    )


main()
