"""Attention for PyTorch: one function, differentiable, for eager and compiled code; and modules.

::

    from nysjit.torch import attention
    o = attention(q, k, v, layout="causal", segment_len=64)

It is an operator of PyTorch's (torch.ops.nysjit.attention and its kin), so that torch.compile,
torch.export, AOTInductor, autocast, vmap and activation checkpointing take it as they take their
own. The first call with a spec compiles its program, for some hundred milliseconds, or finds it in
the cache on disk.
"""

from nysjit._attention import attention
from nysjit._encoders import NystromAttention, NystromformerSelfAttention
from nysjit._modules import CausalAttention, calibrate

__all__ = [
    "CausalAttention",
    "NystromAttention",
    "NystromformerSelfAttention",
    "attention",
    "calibrate",
]
