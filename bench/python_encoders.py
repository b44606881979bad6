"""The two encoders' drop-ins beside their originals, lucidrains' and transformers': how far outputs
and gradients are from each other, whose taps' gradient is right, and what share of the time ours
take.

Distances are relative, in the Frobenius norm, over draws of random inputs and of parameters three
times as large as at first (or as at first): the median and the largest. A gradient's is that of the
parameter where it is largest, but for the convolution's, which PyTorch 2.13 has wrong on the CPU.
Times alternate in one run: the median of the shares.
usage: build/python-env/bin/python bench/python_encoders.py [--draws N] [--rounds N]
(with PYTHONPATH=build/python-site)
"""

import argparse
import copy
import statistics
import time

import torch
from nystrom_attention import NystromAttention as Lucidrains
from transformers import NystromformerConfig
from transformers.models.nystromformer.modeling_nystromformer import (
    NystromformerSelfAttention as Transformers,
)

from nysjit.torch import NystromAttention, NystromformerSelfAttention

LOWEST = torch.finfo(torch.float32).min


def lucidrains(dim, heads, landmarks, rows):
    options = {"dim": dim, "heads": heads, "dim_head": dim // heads, "num_landmarks": landmarks}
    return Lucidrains(**options), NystromAttention(**options)


def transformers(dim, heads, landmarks, rows):
    config = NystromformerConfig(
        hidden_size=dim,
        num_attention_heads=heads,
        num_landmarks=landmarks,
        segment_means_seq_len=rows,
    )
    return Transformers(config), NystromformerSelfAttention(config)


def pair(make, times, *sizes):
    theirs, ours = make(*sizes)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.mul_(times)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def call(layer, x, mask):
    """The output, whichever module it is of."""
    if hasattr(layer, "to_qkv"):
        return layer(x, mask=mask)
    return layer(x, None if mask is None else torch.where(mask, 0.0, LOWEST)[:, None, None])[0]


def results(layer, x, mask, weights):
    layer.zero_grad()
    x = x.clone().requires_grad_()
    o = call(layer, x, mask) * weights
    o.sum().backward()
    named = {name: p.grad for name, p in layer.named_parameters() if "conv" not in name}
    # The gradient of a bias of the keys is 0 but for rounding.
    return [o.detach(), x.grad, *(g for name, g in named.items() if name != "key.bias")]


def distance(found, right):
    return ((found - right).norm() / right.norm()).item()


def distances(make, times, batch, rows, lengths, draws):
    outputs, gradients = [], []
    for seed in range(draws):
        torch.manual_seed(seed)
        theirs, ours = pair(make, times, 128, 4, 16, rows)
        x, weights = torch.randn(2, batch, rows, 128)
        mask = None
        if lengths is not None:
            mask = torch.arange(rows) < torch.tensor(lengths)[:, None]
            weights = weights * mask[..., None]
        both = zip(results(ours, x, mask, weights), results(theirs, x, mask, weights))
        output, *rest = (distance(found, right) for found, right in both)
        outputs.append(output)
        gradients.append(max(rest))
    return [f(of) for of in (outputs, gradients) for f in (statistics.median, max)]


def show_distances(draws):
    print("| original | parameters | B | rows | mask | o: median | largest | gradient | largest |")
    print("|---|---|---|---|---|---|---|---|---|")
    for make in (lucidrains, transformers):
        for times, batch, rows, lengths in (
            (1, 4, 256, None),
            (3, 1, 256, None),
            (3, 4, 256, None),
            (3, 4, 250, [250] * 4),
            (3, 2, 256, [256, 200]),
        ):
            if make is transformers and rows % 16 != 0:
                continue  # it takes no others
            found = distances(make, times, batch, rows, lengths, draws)
            mask = "none" if lengths is None else "of all" if len(set(lengths)) == 1 else lengths
            words = [f"{value:.1g}" for value in found]
            cells = [make.__name__, f"times {times}", batch, rows, mask, *words]
            print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def show_taps():
    print("| rows | gradient of 65 taps, from float64's: theirs | ours |")
    print("|---|---|---|")
    for rows in (64, 100, 512, 4096):
        torch.manual_seed(0)
        theirs, ours = pair(transformers, 1, 128, 2, 4, rows)
        x, weights = torch.randn(2, 1, rows, 128)
        right = copy.deepcopy(theirs).double()
        results(right, x.double(), None, weights.double())
        found = []
        for layer in (theirs, ours):
            results(layer, x, None, weights)
            found.append(distance(layer.conv.weight.grad, right.conv.weight.grad))
        print(f"| {rows} | {found[0]:.1g} | {found[1]:.1g} |", flush=True)


def seconds(layer, x, trains):
    start = time.perf_counter()
    if trains:
        call(layer, x.clone().requires_grad_(), None).sum().backward()
    else:
        with torch.no_grad():
            call(layer, x, None)
    return time.perf_counter() - start


def show_times(rounds):
    print("| original | | ms | of its time |")
    print("|---|---|---|---|")
    for make, sizes in ((lucidrains, (512, 8, 256, 4096)), (transformers, (768, 12, 64, 4096))):
        theirs, ours = pair(make, 1, *sizes)
        x = torch.randn(1, sizes[-1], sizes[0])
        for trains in (False, True):
            rows = [(seconds(ours, x, trains), seconds(theirs, x, trains)) for _ in range(rounds)]
            share = statistics.median(mine / its for mine, its in rows[1:])  # the first compiles
            ms = 1e3 * statistics.median(mine for mine, _ in rows[1:])
            name = "forward and backward" if trains else "forward"
            print(f"| {make.__name__} | {name} | {ms:.0f} | {share:.2f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=11)
    arguments = parser.parse_args()
    show_distances(arguments.draws)
    show_taps()
    show_times(arguments.rounds)


if __name__ == "__main__":
    main()
