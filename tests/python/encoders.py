"""What the tests of the two encoders' attention share: plain float64 code, masks, gradients."""

import unittest

import torch
from cases import distance, seeded

BOUND = 1e-4  # of float32 with parameters so large; most are within 1e-6


def plain(q, k, v, count, weight, from_end=False):
    """[H, n, d] in float64, of one sequence: segments are filled from its start, or from its end.

    weight: [H, 1, c, 1], as the modules' convolutions have it.
    """
    rows, size = q.shape[1:]
    places = torch.arange(rows)
    segment = (rows - 1 - places if from_end else places) // -(-rows // count)
    means_q, means_k = (
        torch.stack([x[:, segment == j].mean(1) for j in range(segment.max() + 1)], dim=1)
        for x in (q, k)
    )
    f, a, b = (
        (x @ y.mT / size**0.5).softmax(-1)
        for x, y in ((q, means_k), (means_q, means_k), (means_q, k))
    )
    z = a.mT / (a.sum(-1).amax(-1) * a.sum(-2).amax(-1))[:, None, None]
    one = torch.eye(a.shape[-1], dtype=torch.float64)
    for _ in range(6):
        y = a @ z
        z = z @ (13 * one - y @ (15 * one - y @ (7 * one - y))) / 4
    o = f @ z @ (b @ v)
    for tap in range(weight.shape[2]):
        ahead = tap - weight.shape[2] // 2
        here = places[(places + ahead >= 0) & (places + ahead < rows)]
        if len(here):
            o[:, here] += weight[:, 0, tap, None] * v[:, here + ahead]
    return o


def larger(layer):
    """With larger parameters than at the start, so that landmarks differ."""
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(3)
    return layer.eval()


def ends(batch, rows, lengths, on_left):
    """A mask [B, n]: sequences of these lengths, padded on a side."""
    mask = torch.arange(rows) < torch.tensor(lengths)[:, None]
    return mask.flip(1) if on_left else mask


def results(layer, x, weights, *arguments):
    """(o times weights, the gradients by name), of the output o of layer(x, *arguments)."""
    layer.zero_grad()
    x = x.detach().clone().requires_grad_()
    o = layer(x, *arguments)
    o = (o[0] if isinstance(o, tuple) else o) * weights
    o.sum().backward()
    return o.detach(), {"x": x.grad, **{name: p.grad for name, p in layer.named_parameters()}}


def additive(mask, rows=1):
    """[B, 1, rows, n] of what is added to logits."""
    lowest = torch.finfo(torch.float32).min
    return torch.where(mask, 0.0, lowest)[:, None, None].expand(-1, -1, rows, -1)


class Same(unittest.TestCase):
    def setUp(self):
        seeded(self.id())

    def compare(self, found, right, bound=BOUND):
        """What results gives; where a gradient is all but nothing it is measured by the output."""
        self.assertLessEqual(distance(found[0], right[0]), bound)
        for name, gradient in right[1].items():
            difference = (found[1][name] - gradient).double().norm()
            size = max(gradient.double().norm(), right[0].double().norm() / 10)
            self.assertLessEqual(difference / size, bound, name)
