"""Two encoders' attention that people know, by the layout ``bidirectional``: the same constructors,
parameters and calls. docs/python.md says where the numbers differ from the originals', and why.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from nysjit import Error, Spec
from nysjit._attention import attention
from nysjit._encoder_masks import back, lengths_of, seen_by, to_front
from nysjit._encoder_weights import attention_with_weights, convolved


def _attend(q, k, v, spec, **options):
    """attention, for heads of other sizes than it takes, too: zeros beside them change nothing."""
    size = q.shape[-1]
    missing = max(16, size + -size % 8) - size
    if missing:
        q, k, v = (F.pad(tensor, (0, missing)) for tensor in (q, k, v))
    return attention(q, k, v, spec, **options)[..., :size]


def _taps(layer):
    """[heads, c]: what PyTorch calls a convolution reads its weights from the other end."""
    return layer.weight.flatten(1).flip(1)


class NystromAttention(nn.Module):
    """In place of nystrom_attention.NystromAttention: the same parameters by the same names.

    dim_head: to 256; num_landmarks: to 512; pinv_iterations: to 32; residual_conv_kernel: to 129.
    eps is kept and not used: a landmark is the mean of positions that there are.
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
        """x: [B, n, dim]. Returns [B, n, dim]; 0 before the last projection where mask is False.

        mask: [B, n] of bool; positions where it is False are as if they were not there. With
        return_attn_matrices also F, the inverse and B, with return_attn their product; then
        PyTorch computes all of it.
        """
        rows = x.shape[1]
        options = {"scale": self.scale}
        order, is_turned = None, False
        if mask is None:  # zeros on the left take part, as they do in the original
            x = F.pad(x, (0, 0, -rows % self.num_landmarks, 0))
        else:
            is_turned = rows % self.num_landmarks != 0  # its segments then end with the rows
            if is_turned:
                x, mask = x.flip(1), mask.flip(1)
            order, lengths = lengths_of(mask)
            options.update(lengths)
            x = to_front(x, order)
        if self.residual:
            taps = _taps(self.res_conv)
            options["conv"] = taps.flip(1) if is_turned else taps
        qkv = self.to_qkv(x).unflatten(-1, (3, self.heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        parts = None
        if return_attn or return_attn_matrices:
            o, parts = attention_with_weights(q, k, v, self.spec, order=order, **options)
            parts, order = parts[:3], None
        else:
            o = _attend(q, k, v, self.spec, **options)
        o = back(self.to_out(o.transpose(1, 2).flatten(2)[:, -rows:]), order, 1)
        if is_turned:
            o = o.flip(1)
            parts = parts and tuple(part.flip(-2, -1) for part in parts)
        if return_attn_matrices:
            return o, parts
        return (o, parts[0] @ parts[1] @ parts[2]) if return_attn else o


class NystromformerSelfAttention(nn.Module):
    """In place of transformers' NystromformerSelfAttention: the same parameters by the same names.

    config: a NystromformerConfig; the head dimension is to 256, num_landmarks to 512 and
    conv_kernel_size to 129.
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
            inverse_iterations=6,
            conv_kernel=self.conv_kernel_size or 0,
        )

    def forward(self, hidden_states, attention_mask=None, output_attentions=False):
        """hidden_states: [B, n, hidden_size]. Returns a tuple of one tensor of that shape.

        attention_mask: additive or bool, [B, 1, 1, n], or [B, 1, n, n] where all rows are the same;
        what is not seen is as if it were not there, if attention is not exact. With
        output_attentions also F times the inverse [B, heads, n, m], or the exact weights; then
        PyTorch computes all of it.
        """
        is_exact = self.num_landmarks == self.seq_len
        options = {"scale": 1 / math.sqrt(self.attention_head_size)}
        order = None
        if attention_mask is not None and not is_exact:
            order, lengths = lengths_of(seen_by(attention_mask, hidden_states.shape[0]))
            options.update(lengths)
            hidden_states = to_front(hidden_states, order)
        q, k, v = (
            layer(hidden_states).unflatten(-1, (self.num_attention_heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        if is_exact:
            o, weights = self._exact(q, k, v, attention_mask, output_attentions)
            return (o.transpose(1, 2).flatten(2), *weights)
        weights = ()
        if self.conv_kernel_size is not None:
            options["conv"] = _taps(self.conv)
        if output_attentions:
            o, parts = attention_with_weights(q, k, v, self.spec, order=order, **options)
            weights, order = parts[3:], None
        else:
            o = _attend(q, k, v, self.spec, **options)
        return (back(o.transpose(1, 2).flatten(2), order, 1), *weights)

    def _exact(self, q, k, v, mask, output_attentions):
        weights = ()
        if output_attentions:
            logits = q @ k.mT / math.sqrt(self.attention_head_size)
            if mask is not None and mask.dtype == torch.bool:
                logits = logits.masked_fill(~mask, torch.finfo(logits.dtype).min)
            elif mask is not None:
                logits = logits + mask
            weights = (logits.softmax(-1),)
            o = weights[0] @ v
        else:
            o = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        if self.conv_kernel_size is not None:
            o = o + convolved(v, _taps(self.conv))
        return o, weights
