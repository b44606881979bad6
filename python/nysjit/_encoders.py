"""Two encoders' attention that people know, by the layout ``bidirectional``: the same constructors,
parameters and calls. docs/python.md says where the numbers differ from the originals', and why.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from nysjit import Error, Spec
from nysjit._attention import attention


def _refuse(name, is_asked_for):
    if is_asked_for:
        raise Error(f"{name}: expected False (weights are never formed), found True")


def _ends(mask):
    """(seq_starts, seqlens), int32 [B], of a mask [B, n] that is True on one run of positions."""
    counts = mask.sum(-1, dtype=torch.int32)
    starts = mask.int().argmax(-1).to(torch.int32)
    places = torch.arange(mask.shape[-1], device=mask.device)
    between = (places >= starts[:, None]) & (places < (starts + counts)[:, None])
    if not torch.compiler.is_compiling() and not bool((between == mask).all()):
        raise Error("mask: expected one run of positions in each sequence, found several")
    return starts, counts


def _taps(layer):
    """[heads, c]: what PyTorch calls a convolution reads its weights from the other end."""
    return layer.weight.flatten(1).flip(1)


class NystromAttention(nn.Module):
    """In place of nystrom_attention.NystromAttention: the same parameters by the same names.

    dim_head: a multiple of 8 from 16 to 256; num_landmarks: to 512. eps is kept and not used: a
    landmark is the mean of positions that there are. mask: [B, n] of bool, one run of True in each
    sequence.
    """

    def __init__(
        self,
        dim,
        dim_head=64,
        heads=8,
        num_landmarks=256,
        pinv_iterations=6,
        residual=True,
        residual_conv_kernel=33,
        eps=1e-8,
        dropout=0.0,
    ):
        super().__init__()
        inner = heads * dim_head
        self.eps = eps
        self.heads = heads
        self.num_landmarks = num_landmarks
        self.pinv_iterations = pinv_iterations
        self.scale = dim_head**-0.5
        self.to_qkv = nn.Linear(dim, inner * 3, bias=False)
        self.to_out = nn.Sequential(nn.Linear(inner, dim), nn.Dropout(dropout))
        self.residual = residual
        if residual:
            shape, padding = (residual_conv_kernel, 1), (residual_conv_kernel // 2, 0)
            self.res_conv = nn.Conv2d(
                heads, heads, shape, padding=padding, groups=heads, bias=False
            )
        self.spec = Spec(
            layout="bidirectional",
            landmarks=num_landmarks,
            inverse_iterations=pinv_iterations,
            conv_kernel=residual_conv_kernel if residual else 0,
        )

    def forward(self, x, mask=None, return_attn=False, return_attn_matrices=False):
        """x: [B, n, dim]. Returns [B, n, dim]; 0 before the last projection where mask is False."""
        _refuse("return_attn", return_attn)
        _refuse("return_attn_matrices", return_attn_matrices)
        rows = x.shape[1]
        lengths = {}
        if mask is None:  # zeros on the left take part, as they do in the original
            x = F.pad(x, (0, 0, -rows % self.num_landmarks, 0))
        else:
            starts, counts = _ends(mask)
            lengths = {"seq_starts": starts, "seqlens": counts}
        qkv = self.to_qkv(x).unflatten(-1, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        taps = _taps(self.res_conv) if self.residual else None
        o = attention(q, k, v, self.spec, scale=self.scale, conv=taps, **lengths)
        return self.to_out(o.transpose(1, 2).flatten(2)[:, -rows:])


class NystromformerSelfAttention(nn.Module):
    """In place of transformers' NystromformerSelfAttention: the same parameters by the same names.

    config: a NystromformerConfig; the head dimension is a multiple of 8 from 16 to 256. There is no
    dropout of weights, which are never formed. attention_mask: additive, [B, 1, 1, n], one run of
    zeros in each sequence.
    """

    def __init__(self, config, **_):
        super().__init__()
        if config.hidden_size % config.num_attention_heads != 0:
            raise Error(
                f"num_attention_heads: expected a divisor of hidden_size ({config.hidden_size}), "
                f"found {config.num_attention_heads}"
            )
        self.num_attention_heads = config.num_attention_heads
        self.attention_head_size = config.hidden_size // config.num_attention_heads
        self.all_head_size = config.hidden_size
        self.num_landmarks = config.num_landmarks
        self.seq_len = config.segment_means_seq_len
        self.conv_kernel_size = config.conv_kernel_size
        self.query = nn.Linear(config.hidden_size, self.all_head_size)
        self.key = nn.Linear(config.hidden_size, self.all_head_size)
        self.value = nn.Linear(config.hidden_size, self.all_head_size)
        if self.conv_kernel_size is not None:
            self.conv = nn.Conv2d(
                self.num_attention_heads,
                self.num_attention_heads,
                (self.conv_kernel_size, 1),
                padding=(self.conv_kernel_size // 2, 0),
                bias=False,
                groups=self.num_attention_heads,
            )
        self.spec = Spec(
            layout="bidirectional",
            landmarks=self.num_landmarks,
            conv_kernel=self.conv_kernel_size or 0,
        )

    def forward(self, hidden_states, attention_mask=None, output_attentions=False):
        """hidden_states: [B, n, hidden_size]. Returns a tuple of one tensor of that shape."""
        _refuse("output_attentions", output_attentions)
        q, k, v = (
            layer(hidden_states).unflatten(-1, (self.num_attention_heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        if self.num_landmarks == self.seq_len:
            return (self._exact(q, k, v, attention_mask),)
        lengths = {}
        if attention_mask is not None:
            starts, counts = _ends(attention_mask.flatten(1) == 0)
            lengths = {"seq_starts": starts, "seqlens": counts}
        taps = None if self.conv_kernel_size is None else _taps(self.conv)
        scale = 1 / math.sqrt(self.attention_head_size)
        o = attention(q, k, v, self.spec, scale=scale, conv=taps, **lengths)
        return (o.transpose(1, 2).flatten(2),)

    def _exact(self, q, k, v, attention_mask):
        o = F.scaled_dot_product_attention(q, k, v, attn_mask=attention_mask)
        if self.conv_kernel_size is not None:
            o = o + self.conv(v)
        return o.transpose(1, 2).flatten(2)
