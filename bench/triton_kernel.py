"""Causal attention as a Triton kernel, for triton_compile.py. In a file of its own: Triton reads
its source."""

import triton
import triton.language as tl


@triton.jit
def attention(Q, K, V, O, stride, n, scale, D: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr):
    tile, head = tl.program_id(0), tl.program_id(1)
    Q += head * n * stride
    K += head * n * stride
    V += head * n * stride
    O += head * n * stride
    i = tile * BM + tl.arange(0, BM)
    c = tl.arange(0, D)
    q = tl.load(Q + i[:, None] * stride + c[None, :], mask=i[:, None] < n, other=0.0)
    maximum = tl.full([BM], -1e38, tl.float32)
    mass = tl.zeros([BM], tl.float32)
    total = tl.zeros([BM, D], tl.float32)
    for j0 in range(0, (tile + 1) * BM, BN):
        j = j0 + tl.arange(0, BN)
        k = tl.load(K + j[None, :] * stride + c[:, None], mask=j[None, :] < n, other=0.0)
        logits = tl.where(j[None, :] <= i[:, None], tl.dot(q, k) * scale, float("-inf"))
        above = tl.maximum(maximum, tl.max(logits, 1))
        weights = tl.exp2(logits - above[:, None])
        shrink = tl.exp2(maximum - above)
        mass = mass * shrink + tl.sum(weights, 1)
        v = tl.load(V + j[:, None] * stride + c[None, :], mask=j[:, None] < n, other=0.0)
        total = total * shrink[:, None] + tl.dot(weights.to(v.dtype), v)
        maximum = above
    tl.store(
        O + i[:, None] * stride + c[None, :],
        (total / mass[:, None]).to(O.dtype.element_ty),
        mask=i[:, None] < n,
    )
