"""PyTorch's exact causal attention on the shapes of gpu_day, one record a backend and shape, and
its matrix product. A record says so where there is no PyTorch or no GPU for it; with --small the
CPU then stands in, so that this is tried.
usage: sdpa.py --out RESULTS.jsonl [--small]
"""

import argparse
import json
import statistics
import time

SHAPES = [(4, 16, 4096, 128), (4, 16, 16384, 128), (1, 32, 131072, 128), (4, 16, 131072, 128)]
BACKENDS = ["FLASH_ATTENTION", "CUDNN_ATTENTION", "EFFICIENT_ATTENTION", "MATH"]


def add(path, kind, **fields):
    with open(path, "a") as file:
        file.write(json.dumps({"kind": kind, "step": "PyTorch", **fields}) + "\n")


def median_ms(torch, device, call, seconds):
    """By CUDA's events; one call at least warms up."""
    call()
    times, end = [], time.monotonic() + seconds
    while len(times) < 3 or (time.monotonic() < end and len(times) < 100):
        if device == "cuda":
            start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            call()
            stop.record()
            stop.synchronize()
            times.append(start.elapsed_time(stop))
        else:
            start = time.perf_counter()
            call()
            times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def attention(torch, device, shape, dtype, backend, seconds):
    from torch.nn.attention import SDPBackend, sdpa_kernel

    generator = torch.Generator(device).manual_seed(1)
    q, k, v = (
        torch.randn(shape, device=device, generator=generator).to(getattr(torch, dtype))
        for _ in range(3)
    )

    def call():
        torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)

    with sdpa_kernel(getattr(SDPBackend, backend)):
        return median_ms(torch, device, call, seconds)


def product(torch, device, size, seconds):
    """TFLOP/s of a bfloat16 matrix product."""
    a, b = (torch.randn(size, size, device=device).to(torch.bfloat16) for _ in range(2))
    return 2 * size**3 / median_ms(torch, device, lambda: a @ b, seconds) / 1e9


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", required=True)
    parser.add_argument("--small", action="store_true")
    arguments = parser.parse_args()
    try:
        import torch
    except ImportError as error:
        add(arguments.out, "note", text=f"Without PyTorch: {error}.")
        return
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and not arguments.small:
        add(arguments.out, "note", text=f"PyTorch {torch.__version__} finds no GPU.")
        return
    add(arguments.out, "note", text=f"PyTorch {torch.__version__} on {device}.")
    seconds = 0 if arguments.small else 0.4
    tflop_s = product(torch, device, 64 if arguments.small else 8192, seconds)
    meaning = "PyTorch's product of bfloat16 matrices"
    add(arguments.out, "rate", rate="matmul", meaning=meaning, tflop_s=tflop_s)
    for dtype in ("bfloat16", "float16"):
        for shape in [(1, 2, 160, 16)] if arguments.small else SHAPES:
            for backend in BACKENDS:
                # its scores take n x n numbers
                if backend == "MATH" and shape[2] > 4096:
                    continue
                name = f"{dtype} B{shape[0]} H{shape[1]} n{shape[2]} d{shape[3]}"
                fields = {"case": name, "backend": backend.lower(), "dtype": dtype}
                fields.update(zip(("batch", "heads", "length", "head_dim"), shape))
                try:
                    fields["ms"] = attention(torch, device, shape, dtype, backend, seconds)
                except Exception as error:  # a backend that this GPU or version lacks
                    fields["refused"] = str(error).split("\n")[0][:200]
                add(arguments.out, "sdpa", **fields)


main()
