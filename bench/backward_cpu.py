"""Gradients beside their own forward, and beside PyTorch's attention where PyTorch is there.

B1 H8 d64 float32, segments of 64, two threads; 4 probes, dyadic, for "learned". All alternate in
one run: the saving program, the backward that reads what it keeps, and the backward alone, which
computes that again.
usage: backward_cpu.py [--length N] [--repeat R] [--threads T] [--save FILE]
"""

import argparse

import numpy

from harness import Runtime, median_ms, table

try:
    import torch
except ImportError:
    torch = None

HEADS, D, S, PROBES = 8, 64, 64, 4
LEARNED = {
    "landmark_source": "learned",
    "probes": PROBES,
    "landmark_spacing": "dyadic",
}


def specs(n):
    causal = {"layout": "causal", "head_dim": D, "landmarks": n // S, "segment_len": S}
    return {
        "exact_causal": {"layout": "exact_causal", "head_dim": D},
        "causal": causal,
        "causal, streaming": {**causal, "landmark_value": "streaming"},
        "causal, learned": {**causal, **LEARNED},
        "segment_causal": {**causal, "layout": "segment_causal"},
        "bidirectional": {"layout": "bidirectional", "head_dim": D, "landmarks": 64},
        "scan": {
            "layout": "scan",
            "head_dim": D,
            "landmarks": 64,
            "landmark_source": "first_k",
            "first_k": 64,
        },
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
    forward = runtime.bind(programs["forward"], **inputs)
    size = runtime.saved_bytes(programs["saving"], runtime.bind(programs["saving"], **inputs))
    kept = aligned(size) if size else None
    saving = runtime.bind(programs["saving"], **inputs, saved=kept)
    backward = runtime.bind(programs["backward"], **inputs, **gradients, saved=kept)
    alone = runtime.bind(programs["backward"], **inputs, **gradients)
    return [forward, saving, backward, alone], size, backward.workspace


def torch_calls(tensors):
    q, k, v = (torch.from_numpy(tensors[name]).requires_grad_() for name in "qkv")
    dout = torch.from_numpy(tensors["dout"])
    attention = torch.nn.functional.scaled_dot_product_attention

    def forward():
        with torch.no_grad():
            attention(q, k, v, is_causal=True)

    def both():
        attention(q, k, v, is_causal=True).backward(dout)

    return [forward, both]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--length", type=int, default=4096)
    parser.add_argument("--repeat", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--save")
    options = parser.parse_args()
    n = options.length
    random = numpy.random.default_rng(1)
    names = ("q", "k", "v", "o", "dout", "dq", "dk", "dv")
    tensors = {
        name: random.standard_normal((1, HEADS, n, D), dtype=numpy.float32) for name in names
    }
    tensors["landmark_q"] = random.standard_normal((HEADS, PROBES, D), dtype=numpy.float32)
    runtime = Runtime(threads=options.threads)
    found = {name: calls(runtime, spec, tensors) for name, spec in specs(n).items()}
    flat = [call for row in found.values() for call in row[0]]
    beside = []
    if torch:
        torch.set_num_threads(options.threads)
        beside = torch_calls(tensors)
    times = median_ms(flat + beside, options.repeat, seconds=240)
    rows = []
    for number, (name, (_, kept, workspace)) in enumerate(found.items()):
        forward, saving, backward, alone = times[4 * number : 4 * number + 4]
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
    if beside:
        forward, both = times[-2:]
        rows.append(
            ["PyTorch SDPA", f"{forward:.1f}", "", f"{both - forward:.1f}"]
            + [f"{(both - forward) / forward:.2f}", "", "", ""]
        )
    header = ["", "forward ms", "saving", "backward", "by forward", "backward alone"]
    header += ["kept, bytes a position and head", "workspace"]
    table(f"n {n}", header, rows)


if __name__ == "__main__":
    main()
