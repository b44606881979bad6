"""A training step of a GPT-2-like model through PyTorch: forward, backward and AdamW, with
PyTorch's own attention and with nysjit's, alternating in one run; and the losses that they come to.

B1, 4 heads of 64, segments of 64, 4 probes for "dyadic"; all begin with the same weights and see
the same batches of random words that follow a rule.
usage: build/python-env/bin/python bench/python_training.py [--rows N,N] [--layers L] [--steps S]
(with PYTHONPATH=build/python-site)
"""

import argparse
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn

from nysjit.torch import CausalAttention

DIM, HEADS, WORDS = 256, 4, 512
DYADIC = {"landmark_source": "learned", "landmark_spacing": "dyadic", "probes": 4}
LAYOUTS = {
    "PyTorch's SDPA": None,
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
        self.words = nn.Embedding(WORDS, DIM)
        nn.init.normal_(self.words.weight, std=0.02)
        self.places = nn.Parameter(0.02 * torch.randn(rows, DIM))
        torch.manual_seed(1)
        shared = nn.Sequential(*(Block(LAYOUTS["exact_causal"]) for _ in range(layers)))
        self.blocks = nn.Sequential(*(Block(keys) for _ in range(layers)))
        self.blocks.load_state_dict(shared.state_dict(), strict=False)
        parameters = [self.places, *self.words.parameters(), *self.blocks.parameters()]
        self.optimizer = torch.optim.AdamW(parameters, lr=1e-3)
        self.losses = []

    def step(self, text):
        start = time.perf_counter()
        x = self.blocks(self.words(text[:, :-1]) + self.places)
        logits = F.linear(F.layer_norm(x, (DIM,)), self.words.weight)
        loss = F.cross_entropy(logits.flatten(0, 1), text[:, 1:].flatten())
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.losses.append(loss.item())
        return time.perf_counter() - start


def sentence(rows, seed):
    """[1, rows + 1]: each word but the first of a few follows from the one sixteen places
    before."""
    dice = torch.Generator().manual_seed(seed)
    words = torch.randint(WORDS, (rows + 1,), generator=dice)
    for i in range(16, rows + 1):
        words[i] = (5 * words[i - 16] + 1) % WORDS
    return words[None]


def compare(rows, layers, steps):
    trainings = {name: Training(keys, layers, rows) for name, keys in LAYOUTS.items()}
    times = {name: [] for name in trainings}
    for seed in range(steps):
        text = sentence(rows, seed)
        for name, training in trainings.items():
            times[name].append(training.step(text))
    exact = statistics.median(times["PyTorch's SDPA"][1:])
    for name, training in trainings.items():
        median = statistics.median(times[name][1:])  # the first compiles
        loss = training.losses[-1]
        print(
            f"| {rows} | {name} | {1e3 * median:.0f} | {median / exact:.2f} | {loss:.5f} |",
            flush=True,
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", default="1024,4096")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--steps", type=int, default=9)
    arguments = parser.parse_args()
    print(f"| rows | attention | ms a step | of SDPA's | loss after {arguments.steps} steps |")
    print("|---|---|---|---|---|")
    for rows in arguments.rows.split(","):
        compare(int(rows), arguments.layers, arguments.steps)


if __name__ == "__main__":
    main()
