"""Gradients beside their own forward, and beside PyTorch's where PyTorch is there.

B1 H8 d64 float32, segments of 64 (128 at n 131072), two threads; 4 probes, dyadic, for "learned";
half of the positions are the source of prefix_lm.
All alternate in one run: the forward, the saving program, the backward that reads what it keeps,
and the backward alone, which computes that again. A second table has the forward and the backward
of a training step, saving and backward, beside PyTorch's: SDPA, and the mathematics of `causal`
(eager.py) with its autograd. A third has the backward's share of PyTorch's own float32 rate of
1024^3 in the same run, counted as five products for each pair that the forward weighs with two.
--memory: instead, the peak memory of one training step of each layout, in a process of its own.
usage: backward_cpu.py [--length N] [--repeat R] [--threads T] [--seconds S] [--memory]
       [--layouts NAME ...] [--save FILE]
"""

import argparse
import resource
import subprocess
import sys

import numpy

from harness import Runtime, markdown, median_ms, publish, table
from layout_cases import Case, flops

try:
    import torch

    import eager
except ImportError:
    torch = None

HEADS, D, S, PROBES = 8, 64, 64, 4
LEARNED = {
    "landmark_source": "learned",
    "probes": PROBES,
    "landmark_spacing": "dyadic",
}


def specs(n):
    s, wide = max(S, n // 1024), max(S, n // 512)  # as many landmarks as there may be
    causal = {"layout": "causal", "head_dim": D, "landmarks": n // s, "segment_len": s}
    return {
        "exact_causal": {"layout": "exact_causal", "head_dim": D},
        "causal": causal,
        "causal, streaming": {**causal, "landmark_value": "streaming"},
        "causal, learned": {**causal, **LEARNED},
        "segment_causal": {**causal, "layout": "segment_causal"},
        "bidirectional": {"layout": "bidirectional", "head_dim": D, "landmarks": 64},
        "prefix_lm": {
            "layout": "prefix_lm",
            "head_dim": D,
            "landmarks": n // wide,
            "segment_len": wide,
        },
        "scan": {
            "layout": "scan",
            "head_dim": D,
            "landmarks": 64,
            "landmark_source": "first_k",
            "first_k": 64,
        },
    }


# Those whose products are known pair by pair.
COUNTED = {
    "exact_causal": Case("exact_causal"),
    "causal": Case("causal", S),
    "causal, streaming": Case("causal", S, (("landmark_value", "streaming"),)),
    "segment_causal": Case("segment_causal", S),
}


def aligned(count):
    memory = numpy.zeros(count + 64, numpy.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + count]


def calls(runtime, spec, tensors):
    """The saving run, the backward with what it keeps and without, and the bytes of that."""
    programs = {
        name: runtime.prepare({**spec, "pass": name}) for name in ("forward", "saving", "backward")
    }
    inputs = {name: tensors[name] for name in "qkvo"}
    gradients = {name: tensors[name] for name in ("dout", "dq", "dk", "dv")}
    if "probes" in spec:
        inputs["landmark_q"] = tensors["landmark_q"]
        gradients["dlandmark_q"] = numpy.empty_like(tensors["landmark_q"])
    if spec["layout"] == "prefix_lm":
        inputs["source_len"] = numpy.array([tensors["q"].shape[2] // 2], numpy.int32)
    forward = runtime.bind(programs["forward"], **inputs)
    size = runtime.saved_bytes(programs["saving"], runtime.bind(programs["saving"], **inputs))
    kept = aligned(size) if size else None
    saving = runtime.bind(programs["saving"], **inputs, saved=kept)
    backward = runtime.bind(programs["backward"], **inputs, **gradients, saved=kept)
    alone = runtime.bind(programs["backward"], **inputs, **gradients)
    return [forward, saving, backward, alone], size, backward.workspace


def torch_calls(tensors):
    """Of each peer the forward, and the forward and the backward."""
    q, k, v = (torch.from_numpy(tensors[name]).requires_grad_() for name in "qkv")
    dout = torch.from_numpy(tensors["dout"])
    attention = torch.nn.functional.scaled_dot_product_attention
    peers = {
        "SDPA": lambda: attention(q, k, v, is_causal=True),
        "eager causal": lambda: eager.causal(q, k, v, S),
    }

    def forward(peer):
        with torch.no_grad():
            peer()

    calls = []
    for peer in peers.values():
        calls += [
            lambda peer=peer: forward(peer),
            lambda peer=peer: peer().backward(dout),
        ]
    return calls, list(peers)


def tensors_of(n):
    random = numpy.random.default_rng(1)
    names = ("q", "k", "v", "o", "dout", "dq", "dk", "dv")
    tensors = {
        name: random.standard_normal((1, HEADS, n, D), dtype=numpy.float32) for name in names
    }
    tensors["landmark_q"] = random.standard_normal((HEADS, PROBES, D), dtype=numpy.float32)
    return tensors


def peak_megabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def step_memory(name, n, threads):
    """Runs one training step; prints the process's peak above that with the tensors alone, and the
    tensors, in MiB."""
    tensors = tensors_of(n)
    before = peak_megabytes()
    runtime = Runtime(threads=threads)
    (_, saving, backward, _), _, _ = calls(runtime, specs(n)[name], tensors)
    saving()
    backward()
    print(peak_megabytes() - before, sum(x.nbytes for x in tensors.values()) / 2**20)


def memory(options):
    rows = []
    for name in options.layouts or specs(options.length):
        command = [sys.executable, __file__, "--length", str(options.length), "--step", name]
        command += ["--threads", str(options.threads)]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        more, held = (float(number) for number in out)
        rows.append([name, f"{held:.0f}", f"{more:.0f}", f"{more / held:.2f}"])
    header = ["", "q, k, v, o, dO and gradients, MiB", "more at the peak", "by these"]
    table(f"One training step, n {options.length}", header, rows)


def shares(n, backward_ms, gemm):
    rows = [["GEMM 1024^3", f"{gemm:.0f}", "100 %"]]
    for name, case in COUNTED.items():
        if name in backward_ms:
            rate = 5 / 2 * HEADS * flops(case, n, D) / backward_ms[name] / 1e6
            rows.append([name, f"{rate:.0f}", f"{100 * rate / gemm:.0f} %"])
    return markdown("The backward's five products a pair", ["", "GFLOP/s", "of GEMM"], rows)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--length", type=int, default=4096)
    parser.add_argument("--repeat", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=240)
    parser.add_argument("--save")
    parser.add_argument("--layouts", nargs="+")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    options = parser.parse_args()
    n = options.length
    if options.step:
        return step_memory(options.step, n, options.threads)
    if options.memory:
        return memory(options)
    tensors = tensors_of(n)
    runtime = Runtime(threads=options.threads)
    found = {
        name: calls(runtime, spec, tensors)
        for name, spec in specs(n).items()
        if name in (options.layouts or specs(n))
    }
    flat = [call for row in found.values() for call in row[0]]
    beside, peers = [], []
    if torch:
        torch.set_num_threads(options.threads)
        beside, peers = torch_calls(tensors)
        beside.append(eager.gemm())
    times = median_ms(flat + beside, options.repeat, seconds=options.seconds)
    rows = []
    steps = {}
    for number, (name, (_, kept, workspace)) in enumerate(found.items()):
        forward, saving, backward, alone = times[4 * number : 4 * number + 4]
        steps[name] = saving + backward
        rows.append(
            [
                name,
                f"{forward:.1f}",
                f"{saving:.1f}",
                f"{backward:.1f}",
                f"{backward / forward:.2f}",
                f"{alone:.1f}",
                f"{kept / (HEADS * n):.0f}",
                f"{workspace / (HEADS * n):.0f}",
            ]
        )
    for number, name in enumerate(peers):
        forward, both = times[len(flat) + 2 * number : len(flat) + 2 * number + 2]
        steps[name] = both
        rows.append(
            [f"PyTorch, {name}", f"{forward:.1f}", "", f"{both - forward:.1f}"]
            + [f"{(both - forward) / forward:.2f}", "", "", ""]
        )
    header = ["", "forward ms", "saving", "backward", "by forward", "backward alone"]
    header += ["kept, bytes a position and head", "workspace"]
    lines = markdown(f"n {n}", header, rows)
    if peers:
        gemm = eager.GEMM_FLOPS / times[-1] / 1e6
        pairs = [("exact_causal", "SDPA"), ("causal", "eager causal"), ("causal", "SDPA")]
        lines += [
            "",
            *markdown(
                "Forward and backward",
                ["", "ms", "PyTorch", "ms", "times as fast"],
                [
                    [a, f"{steps[a]:.1f}", b, f"{steps[b]:.1f}", f"{steps[b] / steps[a]:.2f}"]
                    for a, b in pairs
                    if a in steps
                ],
            ),
        ]
        lines += ["", *shares(n, {row[0]: float(row[3]) for row in rows}, gemm)]
    publish(lines)


if __name__ == "__main__":
    main()
