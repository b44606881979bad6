"""Layouts beside PyTorch on the CPU: `bidirectional` beside the same in eager PyTorch, `scan`
beside GEMM, and short sequences beside SDPA. Peers alternate in one run. What needs no peer is
measured by shapes_cpu.py.

usage: layouts_cpu.py [--repeat R] [--save FILE]
"""

import argparse

import torch

import eager
from harness import Runtime, markdown, median_ms, publish

SDPA = torch.nn.functional.scaled_dot_product_attention


def tensors(heads, n, d):
    q, k, v = (torch.randn(1, heads, n, d) for _ in range(3))
    return q, k, v, torch.empty_like(q)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--save")
    repeat = parser.parse_args().repeat
    torch.manual_seed(0)
    torch.set_grad_enabled(False)
    both = Runtime(threads=2)
    lines = []

    # bidirectional
    rows = []
    for m in (64, 256):
        q, k, v, o = tensors(8, 16384, 64)
        call = both.bind(
            both.prepare({"layout": "bidirectional", "head_dim": 64, "landmarks": m}), q, k, v, o
        )
        ours, theirs = median_ms([call, lambda: eager.bidirectional(q, k, v, m)], repeat)
        error = float(torch.linalg.norm(o - eager.bidirectional(q, k, v, m)) / torch.linalg.norm(o))
        rows.append(
            [
                m,
                f"{ours:.1f}",
                f"{theirs:.0f}",
                f"{theirs / ours:.1f}",
                f"{error:.0e}",
                ", ".join(f"{name} {ms:.1f}" for name, _, ms in call.launches()),
            ]
        )
    lines += markdown(
        "bidirectional, B1 H8 d64 n16384 float32, 2 threads",
        ["landmarks", "ms", "eager PyTorch, ms", "times its speed", "difference", "kernels, ms"],
        rows,
    )

    # scan: two products of m landmarks a position, and within a block of C positions C (m + d)
    q, k, v, o = tensors(8, 16384, 64)
    landmark_q, landmark_k = (torch.randn(8, 64, 64) for _ in range(2))
    program = both.prepare(
        {"layout": "scan", "head_dim": 64, "landmarks": 64, "landmark_source": "learned"}
    )
    call = both.bind(program, q, k, v, o, landmark_q=landmark_q, landmark_k=landmark_k)
    ours, gemm = median_ms([call, eager.gemm()], repeat)
    chunk = 64
    rate, peak = (
        8 * 16384 * (4 * 64 * 64 + 2 * chunk * (64 + 64)) / ours / 1e6,
        eager.GEMM_FLOPS / gemm / 1e6,
    )
    lines += [
        "",
        *markdown(
            "scan, learned landmarks, B1 H8 d64 n16384 float32, 2 threads: "
            "n (4 m d + 2 C (m + d)), C = 64",
            ["landmarks", "ms", "GFLOP/s", "of GEMM", "kernels, ms"],
            [
                [
                    64,
                    f"{ours:.1f}",
                    f"{rate:.0f}",
                    f"{100 * rate / peak:.0f} %",
                    ", ".join(f"{n} {ms:.1f}" for n, _, ms in call.launches()),
                ]
            ],
        ),
    ]

    # short sequences
    q, k, v, o = tensors(12, 512, 32)
    specs = [
        {"layout": "exact_causal", "head_dim": 32},
        {"layout": "causal", "head_dim": 32, "landmarks": 32, "segment_len": 16},
        {"layout": "causal", "head_dim": 32, "landmarks": 8, "segment_len": 64},
    ]
    calls = [both.bind(both.prepare(spec), q, k, v, o) for spec in specs]
    times = median_ms([*calls, lambda: SDPA(q, k, v, is_causal=True)], 40 * repeat)
    names = [
        "exact_causal",
        "causal, segment_len 16",
        "causal, segment_len 64",
        "PyTorch SDPA, causal",
    ]
    lines += [
        "",
        *markdown(
            "B1 H12 d32 n512 float32, 2 threads",
            ["what", "ms", "times SDPA's speed"],
            [[name, f"{ms:.2f}", f"{times[-1] / ms:.2f}"] for name, ms in zip(names, times)],
        ),
    ]
    publish(lines)


main()
