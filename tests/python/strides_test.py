"""Views are read where they are: nothing is copied, whatever the strides; but for rows whose
elements do not lie side by side.
"""

import unittest

import torch
from cases import seeded

from nysjit.torch import attention

KEYS = {"layout": "causal", "segment_len": 8}


def operators(function):
    """The names of PyTorch's operators that a call runs."""
    with torch.profiler.profile() as profile:
        result = function()
    return result, [event.name for event in profile.events()]


class Strides(unittest.TestCase):
    def setUp(self):
        seeded(self.id())

    def same(self, q, k, v, may_copy=False):
        compact = [tensor.contiguous() for tensor in (q, k, v)]
        with torch.no_grad():
            right = attention(*compact, **KEYS)
            found, names = operators(lambda: attention(q, k, v, **KEYS))
        self.assertTrue(torch.equal(found, right))
        self.assertEqual("aten::copy_" in names, may_copy, names)
        return found

    def test_a_fused_projection(self):
        qkv = torch.randn(2, 30, 3 * 4 * 16)
        q, k, v = qkv.view(2, 30, 3, 4, 16).permute(2, 0, 3, 1, 4)
        o = self.same(q, k, v)
        self.assertTrue(o.transpose(1, 2).is_contiguous())  # so that flattening heads is a view

    def test_heads_first_stay_so(self):
        o = self.same(*(torch.randn(2, 4, 30, 16) for _ in range(3)))
        self.assertTrue(o.is_contiguous())

    def test_grouped_heads_an_expanded_key_and_a_slice(self):
        q = torch.randn(2, 4, 40, 16)[:, :, 5:35]
        k = torch.randn(1, 2, 30, 16).expand(2, 2, 30, 16)
        v = torch.randn(2, 2, 30, 48)[..., 16:32]
        self.same(q, k, v)

    def test_rows_of_elements_apart_are_copied(self):
        q, k, v = (torch.randn(2, 4, 16, 30).transpose(2, 3) for _ in range(3))
        self.same(q, k, v, may_copy=True)

    def test_gradients_of_a_fused_projection(self):
        fused = torch.randn(2, 30, 3 * 4 * 16, requires_grad=True)
        dout = torch.randn(2, 4, 30, 16)
        o = attention(*fused.view(2, 30, 3, 4, 16).permute(2, 0, 3, 1, 4), **KEYS)
        (found,) = torch.autograd.grad(o, fused, dout)
        parts = [
            part.detach().contiguous().requires_grad_()
            for part in fused.view(2, 30, 3, 4, 16).permute(2, 0, 3, 1, 4)
        ]
        right = torch.autograd.grad(attention(*parts, **KEYS), parts, dout.contiguous())
        for i, gradient in enumerate(right):
            part = found.view(2, 30, 3, 4, 16).permute(2, 0, 3, 1, 4)[i]
            self.assertTrue(torch.equal(part, gradient))

    def test_lengths_apart_and_of_64_bits(self):
        q, k, v = (torch.randn(3, 2, 20, 16) for _ in range(3))
        lengths = torch.tensor([[20, 0], [7, 0], [0, 0]], dtype=torch.int32)
        right = attention(q, k, v, seqlens=lengths[:, 0].contiguous(), **KEYS)
        self.assertTrue(torch.equal(attention(q, k, v, seqlens=lengths[:, 0], **KEYS), right))
        self.assertTrue(
            torch.equal(attention(q, k, v, seqlens=lengths[:, 0].long(), **KEYS), right)
        )


if __name__ == "__main__":
    unittest.main()
