"""The drop-ins for two encoders' attention beside plain float64 code."""

import copy
import unittest

import torch
from cases import distance
from encoders import BOUND, Same, additive, ends, larger, plain, results
from torch import nn

import nysjit
from nysjit.torch import NystromAttention, NystromformerSelfAttention


class Lucidrains(Same):
    def plain(self, layer, x, mask, from_end):
        """What forward gives for each sequence of its own, in float64."""
        layer = copy.deepcopy(layer).double()
        o = torch.zeros(x.shape, dtype=torch.float64)
        for b in mask.any(1).nonzero().flatten():
            own = x[b, mask[b]].double()
            q, k, v = layer.to_qkv(own).view(len(own), 3, layer.heads, -1).permute(1, 2, 0, 3)
            found = plain(q, k, v, layer.num_landmarks, layer.res_conv.weight, from_end)
            o[b, mask[b]] = layer.to_out(found.transpose(0, 1).flatten(1))
        return o.detach()

    def test_segments_end_with_the_rows_if_these_do_not_divide(self):
        layer = larger(NystromAttention(64, dim_head=32, heads=3, num_landmarks=8))
        for rows in (64, 61, 9):
            for on_left in (False, True):
                lengths = [rows, rows - 5, 1]
                mask = ends(3, rows, lengths, on_left)
                x = torch.randn(3, rows, 64)
                right = self.plain(layer, x, mask, from_end=rows % 8 != 0)
                self.assertLessEqual(distance(layer(x, mask)[mask], right[mask]), BOUND)

    def test_heads_of_any_size(self):
        for size in (4, 8, 20, 24):
            layer = larger(NystromAttention(64, dim_head=size, heads=3, num_landmarks=8))
            x, mask = torch.randn(2, 64, 64), torch.ones(2, 64, dtype=torch.bool)
            right = self.plain(layer, x, mask, from_end=False)
            self.assertLessEqual(distance(layer(x), right), BOUND, size)

    def test_the_same_output_and_gradients_where_weights_are_asked_for(self):
        options = {"dim_head": 32, "heads": 3, "num_landmarks": 8, "pinv_iterations": 3}
        layer = larger(NystromAttention(64, **options))
        for rows in (64, 61):
            some = torch.rand(2, rows) < 0.5
            for mask in (
                None,
                some,
                ends(2, rows, [rows, 7], False),
                ends(2, rows, [30, 61], True),
            ):
                x, weights = torch.randn(2, rows, 64), torch.randn(2, rows, 64)
                self.compare(
                    results(layer, x, weights, mask, True),
                    results(layer, x, weights, mask),
                )

    def test_weights_make_the_output(self):
        layer = larger(NystromAttention(64, heads=3, num_landmarks=8, residual=False))
        for rows in (64, 61):
            mask = ends(2, rows, [rows, 30], False)
            mask[0, torch.rand(rows) < 0.3] = False
            x = torch.randn(2, rows, 64)
            o, parts = layer(x, mask, return_attn_matrices=True)
            weights = layer(x, mask, return_attn=True)[1]
            self.assertTrue(torch.allclose(weights, parts[0] @ parts[1] @ parts[2]))
            v = layer.to_qkv(x)[..., -3 * 64 :].view(2, rows, 3, 64).transpose(1, 2)
            right = layer.to_out((weights @ v).transpose(1, 2).flatten(2)).detach()
            self.assertLessEqual(distance(o, right), BOUND)
            for b in range(2):
                self.assertEqual(weights[b][:, ~mask[b]].abs().max(), 0)
                self.assertEqual(weights[b][:, :, ~mask[b]].abs().max(), 0)

    def test_what_a_mask_leaves_out_is_not_there(self):
        layer = larger(NystromAttention(64, dim_head=32, heads=3, num_landmarks=8))
        compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
        for rows in (64, 61):
            x, mask = torch.randn(3, rows, 64), torch.rand(3, rows) < 0.6
            mask[2] = False
            right = self.plain(layer, x, mask, from_end=rows % 8 != 0)
            for o in (layer(x, mask), compiled(x, mask), layer(x, mask, return_attn=True)[0]):
                self.assertLessEqual(distance(o[mask], right[mask]), BOUND)
            nothing = layer.to_out[0].bias.expand(rows, 64)
            self.assertTrue(torch.equal(layer(x, mask)[2], nothing))

    def test_trains(self):
        block = NystromAttention(64, num_landmarks=8)
        block(torch.randn(2, 61, 64)).square().sum().backward()
        for name, parameter in block.named_parameters():
            self.assertGreater(parameter.grad.norm(), 0, name)


class Config:
    """What the module reads of a NystromformerConfig."""

    hidden_size = 64
    num_attention_heads = 2
    conv_kernel_size = 5
    segment_means_seq_len = 512
    num_landmarks = 8

    def __init__(self, **options):
        self.__dict__.update(options)


class Transformers(Same):
    def layer(self, **options):
        return larger(NystromformerSelfAttention(Config(**options)))

    def plain(self, layer, x, mask):
        layer = copy.deepcopy(layer).double()
        o = torch.zeros(x.shape, dtype=torch.float64)
        for b in range(x.shape[0]):
            own = x[b, mask[b]].double()
            q, k, v = (
                part(own).view(len(own), layer.num_attention_heads, -1).transpose(0, 1)
                for part in (layer.query, layer.key, layer.value)
            )
            found = plain(q, k, v, layer.num_landmarks, layer.conv.weight)
            o[b, mask[b]] = found.transpose(0, 1).flatten(1)
        return o.detach()

    def test_masks_of_every_shape(self):
        layer, x = self.layer(num_attention_heads=8), torch.randn(2, 61, 64)
        compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
        for mask in (ends(2, 61, [61, 23], False), torch.rand(2, 61) < 0.6):
            right = self.plain(layer, x, mask)
            for given in (additive(mask), additive(mask, 61), mask[:, None, None]):
                self.assertLessEqual(distance(layer(x, given)[0], right), BOUND)
            self.assertLessEqual(distance(compiled(x, additive(mask, 61))[0], right), BOUND)
        same = mask[1:].expand(2, -1)
        right = self.plain(layer, x, same)
        self.assertLessEqual(distance(layer(x, additive(mask[1:]))[0], right), BOUND)

    def test_masks_that_differ_among_rows_are_refused(self):
        mask = additive(torch.ones(61, 61, dtype=torch.bool).tril()).transpose(0, 2)
        with self.assertRaisesRegex(nysjit.Error, "attention_mask: expected the same for all rows"):
            self.layer()(torch.randn(1, 61, 64), mask)

    def test_the_same_output_and_gradients_where_weights_are_asked_for(self):
        x, weights = torch.randn(2, 61, 64), torch.randn(2, 61, 64)
        mask = torch.rand(2, 61) < 0.5
        for options in ({}, {"num_landmarks": 512}, {"num_attention_heads": 8}):
            layer = self.layer(**options)
            for given in (None, additive(mask), mask[:, None, None]):
                self.compare(
                    results(layer, x, weights, given, True),
                    results(layer, x, weights, given),
                )

    def test_exact_attention_takes_masks_of_several_runs(self):
        layer, x = self.layer(num_landmarks=512, conv_kernel_size=None), torch.randn(1, 61, 64)
        mask = torch.rand(1, 61) < 0.5
        mask[0, 0] = True
        q, k, v = (
            part(x).view(1, 61, 2, 32).transpose(1, 2)
            for part in (layer.query, layer.key, layer.value)
        )
        logits = q @ k.mT / 32**0.5
        right = (logits.masked_fill(~mask, -torch.inf).softmax(-1) @ v).transpose(1, 2).flatten(2)
        for ask in (False, True):
            self.assertLessEqual(distance(layer(x, additive(mask), ask)[0], right), BOUND)

    def test_the_gradient_of_the_taps_is_exact(self):
        # nn.Conv2d's is not, where oneDNN computes it (PyTorch 2.13, float32 on the CPU).
        x, weights = torch.randn(1, 100, 64), torch.randn(1, 100, 64)
        for landmarks in (8, 512):
            layer = self.layer(conv_kernel_size=65, num_landmarks=landmarks)
            v = layer.value(x).view(100, 2, 32).transpose(0, 1).double()
            padded = nn.functional.pad(v, (0, 0, 32, 32))
            dout = weights.view(100, 2, 32).transpose(0, 1).double()
            right = torch.stack(
                [(padded[:, tap : tap + 100] * dout).sum((1, 2)) for tap in range(65)], dim=1
            )
            for ask in (False, True):
                found = results(layer, x, weights, None, ask)[1]
                found = found["conv.weight"].flatten(1)
                self.assertLessEqual(distance(found, right.detach()), BOUND)


if __name__ == "__main__":
    unittest.main()
