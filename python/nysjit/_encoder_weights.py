"""The layout ``bidirectional`` in PyTorch's own operations, for modules that are asked for the
weights: kernels never form them. docs/mathematics.md has the formulas.
"""

import torch
import torch.nn.functional as F

from nysjit._encoder_masks import back


def attention_with_weights(
    q, k, v, spec, *, scale, conv=None, seq_starts=None, seqlens=None, order=None
):
    """(o, (F, the inverse, B, F times the inverse)): [B, H, n, d], and [B, H, n, m], [B, H, m, m],
    [B, H, m, n], [B, H, n, m].

    o is what attention returns, but for rounding, and made from the last two differentiably.
    Weights are 0 at positions outside sequences and at landmarks that a sequence has not. order:
    where the rows of q, k and v were before they came to the front; there all that is returned is.
    """
    dtype = q.dtype
    q, k, v = (tensor.to(torch.promote_types(dtype, torch.float32)) for tensor in (q, k, v))
    rows = q.shape[2]
    segments = _segments(rows, spec.get("landmarks"), q.device, seq_starts, seqlens)
    inside, present = segments.any(1), segments.any(2)
    means = segments / segments.sum(-1, keepdim=True).clamp_min(1)
    means = means.to(q.dtype).unsqueeze(1)
    near_q, near_k = means @ q * scale, means @ k
    f = _softmax(q @ near_k.mT * scale, inside, present)
    a = _softmax(near_q @ near_k.mT, present, present)
    inverse = _inverse(a, spec.get("inverse_iterations"))
    b = _softmax(near_q @ k.mT, present, inside)
    parts = (back(f, order, 2), inverse, back(b, order, 3), back(f @ inverse, order, 2))
    parts = tuple(part.to(dtype) for part in parts)
    v = v.to(dtype)
    o = parts[3] @ (parts[2] @ back(v, order, 2))
    if conv is not None:
        inside = inside[:, None, :, None]
        o = o + back(convolved(v * inside, conv) * inside, order, 2)
    return o, parts


def _segments(rows, landmarks, device, seq_starts, seqlens):
    """Which positions each segment of a sequence has, bool [B, m, n]; without lengths B is 1."""
    if seqlens is None:
        seqlens = torch.full((1,), rows, device=device)
        seq_starts = torch.zeros_like(seqlens)
    seqlens, seq_starts = seqlens[:, None, None], seq_starts[:, None, None]
    place = torch.arange(rows, device=device) - seq_starts
    size = ((seqlens + landmarks - 1) // landmarks).clamp_min(1)
    is_own = place // size == torch.arange(landmarks, device=device)[:, None]
    return is_own & (place >= 0) & (place < seqlens)


def _softmax(logits, rows, columns):
    """Of the columns that there are; 0 in the rows and columns that there are not."""
    there = (rows.unsqueeze(-1) & columns.unsqueeze(-2)).unsqueeze(1)
    return logits.masked_fill(~there, torch.finfo(logits.dtype).min).softmax(-1) * there


def _inverse(a, iterations):
    """Newton-Schulz steps from A^T / (the greatest row sum times the greatest column sum)."""
    sums = a.sum(-1).amax(-1) * a.sum(-2).amax(-1)  # 1 or more, if there is a landmark
    z = a.mT / sums.clamp_min(0.5)[..., None, None]
    one = torch.eye(a.shape[-1], dtype=a.dtype, device=a.device)
    for _ in range(iterations):
        y = a @ z
        z = z @ (13 * one - y @ (15 * one - y @ (7 * one - y))) / 4
    return z


def convolved(v, conv):
    """What attention adds with these taps, [H, c].

    Along the last axis: along the rows, as the modules' own convolutions are, oneDNN's gradient of
    the weights is wrong for many shapes (PyTorch 2.13 on the CPU, by up to a fifth).
    """
    kernel = conv.flip(1)[:, None, None]
    padding = (0, kernel.shape[-1] // 2)
    found = F.conv2d(v.mT, kernel, padding=padding, groups=kernel.shape[0])
    return found.mT[:, :, -v.shape[2] :]
