"""Masks of encoders, as sequences that lie where they are or are brought to the front."""

import torch

from nysjit import Error


def lengths_of(mask):
    """(order, {"seqlens", "seq_starts"}) of a mask [B, n], True where positions are seen.

    These lie as they are (order None) if they are one run in each sequence, which takes a look at
    the mask; else in front, in this order, as if the others were not there.
    """
    counts = mask.sum(-1, dtype=torch.int32)
    if not torch.compiler.is_compiling():
        starts = mask.int().argmax(-1).to(torch.int32)
        places = torch.arange(mask.shape[-1], device=mask.device)
        between = (places >= starts[:, None]) & (places < (starts + counts)[:, None])
        if bool((between == mask).all()):
            return None, {"seqlens": counts, "seq_starts": starts}
    order = mask.int().argsort(dim=-1, descending=True, stable=True)
    return order, {"seqlens": counts, "seq_starts": torch.zeros_like(counts)}


def _index(order, tensor, dim):
    shape = [1] * tensor.dim()
    shape[0], shape[dim] = order.shape
    return order.view(shape).expand(tensor.shape)


def to_front(x, order):
    return x if order is None else x.gather(1, _index(order, x, 1))


def back(tensor, order, dim):
    if order is None:
        return tensor
    return torch.zeros_like(tensor).scatter(dim, _index(order, tensor, dim), tensor)


def seen_by(attention_mask, batch):
    """[B, n], True where positions are seen, of an additive or a bool mask [B or 1, ..., n]."""
    seen = attention_mask if attention_mask.dtype == torch.bool else attention_mask == 0
    seen = seen.flatten(1, -2) if seen.dim() > 2 else seen.unsqueeze(1)
    if not torch.compiler.is_compiling() and not bool((seen == seen[:, :1]).all()):
        raise Error("attention_mask: expected the same for all rows and heads, found several")
    return seen[:, 0].expand(batch, -1)
