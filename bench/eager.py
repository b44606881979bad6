"""The layouts' mathematics in PyTorch, as one would write it there: what attention_cpu.py and
layouts_cpu.py compare with.

Tensors are [B, H, n, d], n a multiple of the segments. The formulas are those of
templates/causal.cpp, landmarks.h and inverse.h. Also the other yardstick of both, PyTorch's own
float32 GEMM."""

import torch

GEMM_FLOPS = 2 * 1024**3


def gemm():
    """A callable: one product of 1024^3, its result's memory kept."""
    a, b, c = (torch.randn(1024, 1024) for _ in range(3))
    return lambda: torch.mm(a, b, out=c)


def landmarks_of(q, k, v, segment_len, scale):
    """Mean queries, tangent keys and their constants, and each segment's own softmax value."""
    q, k, v = (x.unflatten(-2, (-1, segment_len)) for x in (q, k, v))
    query = q.mean(-2)
    weights = torch.softmax(torch.einsum("bhgd,bhgtd->bhgt", query, k) * scale, -1)
    key = torch.einsum("bhgt,bhgtd->bhgd", weights, k)
    constant = -torch.special.xlogy(weights, weights).sum(-1)
    return query, key, constant, torch.einsum("bhgt,bhgtd->bhgd", weights, v)


def causal(q, k, v, segment_len=64, stabilizer=0.25):
    """`causal` with tangent landmarks and the stabilized solve."""
    scale, n = q.shape[-1] ** -0.5, q.shape[-2]
    m = n // segment_len
    query, key, constant, pool = landmarks_of(q, k, v, segment_len, scale)
    segment = torch.arange(n) // segment_len
    g = torch.arange(m)
    past = (query @ k.transpose(-1, -2) * scale).masked_fill(segment > g[:, None], float("-inf"))
    past = torch.softmax(past, -1) @ v
    a = (query @ key.transpose(-1, -2) * scale + constant[..., None, :]).masked_fill(
        g > g[:, None], float("-inf")
    )
    a = torch.softmax(a, -1)
    own = a.diagonal(dim1=-2, dim2=-1)[..., None]
    gain = own / (own * own + stabilizer)
    value = torch.linalg.solve_triangular(
        a * gain, pool + gain * (past - own * pool), upper=False, unitriangular=True
    )
    far = (q @ key.transpose(-1, -2) * scale + constant[..., None, :]).masked_fill(
        g >= segment[:, None], float("-inf")
    )
    q, k, v = (x.unflatten(-2, (m, segment_len)) for x in (q, k, v))
    t = torch.arange(segment_len)
    near = (q @ k.transpose(-1, -2) * scale).masked_fill(t > t[:, None], float("-inf"))
    weights = torch.softmax(torch.cat([far.unflatten(-2, (m, segment_len)), near], -1), -1)
    return (weights[..., :m] @ value[..., None, :, :] + weights[..., m:] @ v).flatten(-3, -2)


def bidirectional(q, k, v, landmarks, iterations=6):
    """The Nystromformer (Xiong et al. 2021)."""
    scale = q.shape[-1] ** -0.5
    query, key = (x.unflatten(-2, (landmarks, -1)).mean(-2) for x in (q, k))
    a = torch.softmax(query @ key.transpose(-1, -2) * scale, -1)
    one = torch.eye(landmarks)
    z = a.transpose(-1, -2) / (a.sum(-2).amax(-1) * a.sum(-1).amax(-1))[..., None, None]
    for _ in range(iterations):
        az = a @ z
        z = 0.25 * z @ (13 * one - az @ (15 * one - az @ (7 * one - az)))
    return torch.softmax(q @ key.transpose(-1, -2) * scale, -1) @ (
        z @ (torch.softmax(query @ k.transpose(-1, -2) * scale, -1) @ v)
    )
