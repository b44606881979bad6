"""Trains a tiny GPT on this repository's own pages, for a minute, and has it write some more: once
with exact attention, once with `causal`, once with blocks that double with distance.

usage: tiny_gpt.py [--steps N]

It needs PyTorch and nysjit's Python package (docs/python.md). All three begin with the same weights
and see the same bytes.
"""

import argparse
import pathlib
import time

import torch
import torch.nn.functional as F
from torch import nn

from nysjit.torch import CausalAttention

DIM, HEADS, LAYERS, ROWS, BATCH = 128, 4, 2, 512, 2
LAYOUTS = {
    "exact": {"layout": "exact_causal"},
    "causal": {"layout": "causal", "segment_len": 32},
    "dyadic": {
        "layout": "causal",
        "segment_len": 32,
        "landmark_source": "learned",
        "landmark_spacing": "dyadic",
        "probes": 4,
    },
}


class Block(nn.Module):
    def __init__(self, **keys):
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(DIM), nn.LayerNorm(DIM)])
        self.attention = CausalAttention(DIM, HEADS, **keys)
        self.mlp = nn.Sequential(nn.Linear(DIM, 4 * DIM), nn.GELU(), nn.Linear(4 * DIM, DIM))

    def forward(self, x):
        x = x + self.attention(self.norms[0](x))
        return x + self.mlp(self.norms[1](x))


class Gpt(nn.Module):
    def __init__(self, **keys):
        super().__init__()
        self.bytes = nn.Embedding(256, DIM)
        nn.init.normal_(self.bytes.weight, std=0.02)
        self.places = nn.Parameter(0.02 * torch.randn(ROWS, DIM))
        self.blocks = nn.Sequential(*(Block(**keys) for _ in range(LAYERS)))
        self.norm = nn.LayerNorm(DIM)

    def forward(self, text):
        x = self.blocks(self.bytes(text) + self.places[: text.shape[1]])
        return F.linear(self.norm(x), self.bytes.weight)


def loss_of(model, text):
    logits = model(text[:, :-1])
    return F.cross_entropy(logits.flatten(0, 1), text[:, 1:].flatten())


def pages():
    """The bytes of README and docs: to learn from, and to be judged by."""
    root = pathlib.Path(__file__).resolve().parent.parent
    files = [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
    text = torch.frombuffer(bytearray(b"".join(f.read_bytes() for f in files)), dtype=torch.uint8)
    return text[: len(text) * 9 // 10].long(), text[len(text) * 9 // 10 :].long()


def batches(text, count, seed):
    dice = torch.Generator().manual_seed(seed)
    for _ in range(count):
        starts = torch.randint(len(text) - ROWS - 1, (BATCH,), generator=dice)
        yield torch.stack([text[start : start + ROWS + 1] for start in starts])


def train(model, text, steps):
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    for step, batch in enumerate(batches(text, steps, seed=1)):
        loss = loss_of(model, batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % max(1, steps // 4) == 0:
            print(f"  step {step:4}  loss {loss.item():.3f}", flush=True)


@torch.no_grad()
def write(model, beginning, count):
    """The beginning and `count` more bytes, one after the other; each from the whole text anew."""
    dice = torch.Generator().manual_seed(2)
    text = torch.tensor([list(beginning)])
    for _ in range(count):
        logits = model(text[:, -ROWS:])[0, -1] / 0.7
        drawn = torch.multinomial(logits.softmax(-1), 1, generator=dice)
        text = torch.cat((text, drawn[None]), dim=1)
    return bytes(text[0].tolist()).decode(errors="replace")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=200)
    steps = parser.parse_args().steps
    learned, kept = pages()
    losses = {}
    for name, keys in LAYOUTS.items():
        print(f"{name}:")
        torch.manual_seed(0)
        shared = Gpt(**LAYOUTS["exact"]).state_dict()
        model = Gpt(**keys)
        model.load_state_dict(shared, strict=False)  # probes are its own
        start = time.perf_counter()
        train(model, learned, steps)
        seconds = time.perf_counter() - start
        with torch.no_grad():
            parts = [loss_of(model, batch) for batch in batches(kept, 8, seed=3)]
        losses[name] = torch.stack(parts).mean().item()
        print(f"  {seconds:.0f} s; loss {losses[name]:.3f} on pages that it has not seen")
    print(write(model, b"A spec ", 200))
    print("losses: " + ", ".join(f"{name} {loss:.3f}" for name, loss in losses.items()))


if __name__ == "__main__":
    main()
