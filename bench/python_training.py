"""Training a GPT-2-like model through PyTorch, with PyTorch's own attention and with nysjit's: the
time of a step (forward, backward and AdamW), all alternating in one run; the losses of a longer
one; and what a step's memory is, each in a process of its own.

B1, 4 heads of 64, segments of 64, 4 probes for "dyadic"; all begin with the same weights and see
the same bytes of this repository's pages.
usage: build/python-env/bin/python bench/python_training.py [--rows N,N] [--steps S] [--long N]
  [--long-steps S] [--layers L] [--save FILE]
(with PYTHONPATH=build/python-site)
"""

import argparse
import functools
import pathlib
import re
import statistics
import subprocess
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

from harness import ROOT, markdown, publish
from nysjit.torch import CausalAttention

DIM, HEADS, BYTES = 256, 4, 256
DYADIC = {"landmark_source": "learned", "landmark_spacing": "dyadic", "probes": 4}
SDPA = "PyTorch's SDPA"
LAYOUTS = {
    SDPA: None,
    "exact_causal": {"layout": "exact_causal"},
    "causal": {"layout": "causal", "segment_len": 64},
    "causal, dyadic": {"layout": "causal", "segment_len": 64, **DYADIC},
}


class Sdpa(CausalAttention):
    """The same layer over PyTorch's attention."""

    def forward(self, x):
        q, k, v = self.qkv(x).unflatten(-1, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        o = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(o.transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self, keys):
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(DIM), nn.LayerNorm(DIM)])
        layer = CausalAttention if keys else Sdpa
        self.attention = layer(DIM, HEADS, **(keys or LAYOUTS["exact_causal"]))
        self.mlp = nn.Sequential(nn.Linear(DIM, 4 * DIM), nn.GELU(), nn.Linear(4 * DIM, DIM))

    def forward(self, x):
        x = x + self.attention(self.norms[0](x))
        return x + self.mlp(self.norms[1](x))


class Training:
    """A model and its optimizer; `step` is one step, in seconds."""

    def __init__(self, keys, layers, rows):
        torch.manual_seed(0)
        self.bytes = nn.Embedding(BYTES, DIM)
        nn.init.normal_(self.bytes.weight, std=0.02)
        self.places = nn.Parameter(0.02 * torch.randn(rows, DIM))
        torch.manual_seed(1)
        shared = nn.Sequential(*(Block(LAYOUTS["exact_causal"]) for _ in range(layers)))
        self.blocks = nn.Sequential(*(Block(keys) for _ in range(layers)))
        self.blocks.load_state_dict(shared.state_dict(), strict=False)
        parameters = [self.places, *self.bytes.parameters(), *self.blocks.parameters()]
        self.optimizer = torch.optim.AdamW(parameters, lr=1e-3)
        self.losses = []

    def step(self, text):
        start = time.perf_counter()
        x = self.blocks(self.bytes(text[:, :-1]) + self.places)
        logits = F.linear(F.layer_norm(x, (DIM,)), self.bytes.weight)
        loss = F.cross_entropy(logits.flatten(0, 1), text[:, 1:].flatten())
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.losses.append(loss.item())
        return time.perf_counter() - start


@functools.cache
def all_text():
    """The bytes of this repository's own pages."""
    pages = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
    joined = b"".join(page.read_bytes() for page in pages)
    return torch.frombuffer(bytearray(joined), dtype=torch.uint8).long()


def excerpt(rows, seed):
    """[1, rows + 1] bytes."""
    dice = torch.Generator().manual_seed(seed)
    start = int(torch.randint(len(all_text()) - rows - 1, (1,), generator=dice))
    return all_text()[None, start : start + rows + 1]


def train(rows, layers, steps):
    """Trainings by name, and the times of their steps but the first, which compiles."""
    trainings = {name: Training(keys, layers, rows) for name, keys in LAYOUTS.items()}
    times = {name: [] for name in trainings}
    for seed in range(steps + 1):
        text = excerpt(rows, seed)
        for name, training in trainings.items():
            seconds = training.step(text)
            if seed:
                times[name].append(seconds)
    return trainings, times


def most_resident():
    """MiB that this process has had in memory at once since `forget_most`."""
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024


def forget_most():
    pathlib.Path("/proc/self/clear_refs").write_text("5")


def memory_of_a_step(name, rows, layers):
    """MiB over the model's: activations, gradients, the optimizer's state and what is compiled."""
    training = Training(LAYOUTS[name], layers, rows)
    forget_most()
    before = most_resident()
    for seed in range(2):
        training.step(excerpt(rows, seed))
    return most_resident() - before


def measured_alone(name, rows, layers):
    """memory_of_a_step in a process of its own."""
    words = ["--memory-of", name, "--rows", str(rows), "--layers", str(layers)]
    run = [sys.executable, __file__, *words]
    return float(subprocess.run(run, capture_output=True, text=True, check=True).stdout)


def table_of_steps(rows, layers, steps):
    lines = []
    for length in rows:
        _, times = train(length, layers, steps)
        medians = {name: statistics.median(seconds) for name, seconds in times.items()}
        for name, median in medians.items():
            share = f"{median / medians[SDPA]:.2f}"
            used = f"{measured_alone(name, length, layers):.0f}"
            lines.append([length, name, f"{1e3 * median:.0f}", share, used])
            print(*lines[-1], file=sys.stderr, flush=True)
    title = f"A training step, {layers} layers, {torch.get_num_threads()} threads"
    header = ["rows", "attention", "ms", "of SDPA's", "MiB of memory"]
    return markdown(f"{title}: medians of {steps}", header, lines)


def table_of_losses(rows, layers, steps):
    """After the first step and so on, at each tenth of the run."""
    trainings, _ = train(rows, layers, steps)
    at = [0, *range(steps // 10, steps + 1, max(steps // 10, 1))]
    exact = trainings[SDPA].losses
    lines = []
    for name, training in trainings.items():
        apart = max(abs(loss - other) for loss, other in zip(training.losses, exact))
        lines.append([name, *(f"{training.losses[i]:.4f}" for i in at), f"{apart:.1e}"])
    header = ["attention", *map(str, at), "most from SDPA's"]
    return markdown(f"Losses over {steps} steps, {rows} rows, {layers} layers", header, lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", default="1024,4096", help="may be none")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--long", type=int, default=0, help="rows of the long run")
    parser.add_argument("--long-steps", type=int, default=200)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--memory-of", choices=LAYOUTS, help=argparse.SUPPRESS)
    parser.add_argument("--save")  # harness's
    arguments = parser.parse_args()
    rows = [int(length) for length in arguments.rows.split(",") if length]
    if arguments.memory_of:
        return print(memory_of_a_step(arguments.memory_of, rows[0], arguments.layers))
    tables = []
    if rows:
        tables.append(table_of_steps(rows, arguments.layers, arguments.steps))
    if arguments.long:
        tables.append(table_of_losses(arguments.long, arguments.layers, arguments.long_steps))
    publish([line for lines in tables for line in (*lines, "")][:-1])


if __name__ == "__main__":
    main()
