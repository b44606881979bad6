"""nysjit's layouts beside PyTorch's attention on the CPU, float32, alternating in one run.

B1 H8 d64, n 16384 unless given, segment_len 64. "GEMM" is PyTorch's own float32 1024^3 rate in the
same run; a layout's GFLOP/s count 4 d for each (query, key or landmark) pair that it weighs,
exactly. "eager" is causal's own mathematics in PyTorch (eager.py), "compiled" the same under
torch.compile (needs a C++ compiler).
With --target cpu:x86-64-v3 give PyTorch the same instructions: ATEN_CPU_CAPABILITY=avx2,
MKL_ENABLE_INSTRUCTIONS=AVX2, ONEDNN_MAX_CPU_ISA=AVX2.
usage: attention_cpu.py [--length N] [--repeat R] [--threads T] [--target T] [--save FILE]
"""

import argparse
import os

import torch

import eager
from harness import Runtime, median_ms, table
from layout_cases import Case, flops

HEADS, HEAD_DIM, SEGMENT_LEN = 8, 64, 64


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--length", type=int, default=16384)
    parser.add_argument("--repeat", type=int, default=9)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--target", default="cpu:native")
    parser.add_argument("--save")
    arguments = parser.parse_args()
    n = arguments.length
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    q, k, v = (torch.randn(1, HEADS, n, HEAD_DIM) for _ in range(3))
    o = torch.empty_like(q)
    runtime = Runtime(threads=arguments.threads)
    cases = {
        "causal": Case("causal", SEGMENT_LEN),
        "streaming": Case("causal", SEGMENT_LEN, (("landmark_value", "streaming"),)),
        "exact_causal": Case("exact_causal"),
    }
    calls = {
        name: runtime.bind(
            runtime.prepare(case.spec(n, HEAD_DIM), target=arguments.target), q, k, v, o
        )
        for name, case in cases.items()
    }
    scaled = torch.nn.functional.scaled_dot_product_attention
    peers = {
        "GEMM 1024^3": eager.gemm(),
        "PyTorch SDPA, causal": lambda: scaled(q, k, v, is_causal=True),
    }
    compiled = torch.compile(eager.causal, dynamic=False)
    with torch.no_grad():
        compiled(q, k, v)
    peers |= {
        "causal, eager PyTorch": lambda: eager.causal(q, k, v),
        "causal, compiled PyTorch": lambda: compiled(q, k, v),
    }
    calls["causal"]()
    difference = torch.linalg.norm(o - eager.causal(q, k, v)) / torch.linalg.norm(o)
    assert difference < 1e-5, f"eager PyTorch computes something else: {difference}"
    everything = {**peers, **calls}
    with torch.no_grad():
        times = dict(
            zip(everything, median_ms(list(everything.values()), arguments.repeat, seconds=120))
        )
    gemm = eager.GEMM_FLOPS / times["GEMM 1024^3"] / 1e6
    rows = []
    for name, ms in times.items():
        case = cases.get(name) or cases["exact_causal" if "SDPA" in name else "causal"]
        rate = (
            (eager.GEMM_FLOPS if name == "GEMM 1024^3" else HEADS * flops(case, n, HEAD_DIM))
            / ms
            / 1e6
        )
        launches = (
            ", ".join(
                f"{kernel} {kernel_ms:.1f}" for kernel, _, kernel_ms in calls[name].launches()
            )
            if name in calls
            else ""
        )
        rows.append(
            [
                name,
                f"{ms:.1f}",
                f"{rate:.0f}",
                f"{100 * rate / gemm:.0f} %",
                f"{times['PyTorch SDPA, causal'] / ms:.2f}",
                f"{times['causal, eager PyTorch'] / ms:.2f}",
                launches,
            ]
        )
    table(
        f"B1 H{HEADS} d{HEAD_DIM} n{n} segment_len {SEGMENT_LEN} float32, "
        f"{arguments.target}, {arguments.threads} threads, median of up to {arguments.repeat}",
        [
            "what",
            "ms",
            "GFLOP/s",
            "of GEMM",
            "times SDPA's speed",
            "times eager's",
            "kernels of the last run, ms",
        ],
        rows,
        ["With THP_MEM_ALLOC_ENABLE=1: the tensors on huge pages."]
        if os.environ.get("THP_MEM_ALLOC_ENABLE") == "1"
        else [],
    )


main()
