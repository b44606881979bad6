"""CausalAttention beside SDPA and plain code, and calibration."""

import unittest

import torch
import torch.nn.functional as F
from cases import seeded
from torch import nn

import nysjit
from nysjit.torch import CausalAttention, calibrate

EXACT = {"layout": "exact_causal"}
LEARNED = {"layout": "causal", "segment_len": 8, "landmark_source": "learned", "probes": 2}


class Causal(unittest.TestCase):
    def setUp(self):
        seeded(self.id())

    def test_exact_is_sdpa(self):
        block = CausalAttention(64, 4, key_heads=2, layout="exact_causal")
        x = torch.randn(2, 30, 64)
        q, k, v = block.qkv(x).split([64, 32, 32], dim=-1)
        q, k, v = (part.unflatten(-1, (-1, 16)).transpose(1, 2) for part in (q, k, v))
        k, v = (part.repeat_interleave(2, dim=1) for part in (k, v))
        o = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        right = block.out(o.transpose(1, 2).flatten(2))
        self.assertTrue(torch.allclose(block(x), right, atol=1e-6))

    def test_packed_and_padded_are_the_sequences_alone(self):
        block = CausalAttention(64, 4, **LEARNED)
        long, short = torch.randn(30, 64), torch.randn(12, 64)
        right = [block(x.unsqueeze(0)).squeeze(0) for x in (long, short)]
        packed = block(torch.cat((long, short)), cu_seqlens=torch.tensor([0, 30, 42]))
        self.assertTrue(torch.allclose(packed, torch.cat(right), atol=1e-6))
        x = torch.randn(2, 30, 64)
        x[0], x[1, 18:] = long, short
        padded = block(x, seqlens=torch.tensor([30, 12]), seq_starts=torch.tensor([0, 18]))
        self.assertTrue(torch.allclose(padded[0], right[0], atol=1e-6))
        self.assertTrue(torch.allclose(padded[1, 18:], right[1], atol=1e-6))

    def test_every_parameter_learns(self):
        for keys, names in (
            ({**LEARNED, "conv_kernel": 3}, {"probes", "conv"}),
            (
                {"layout": "scan", "landmarks": 4, "landmark_source": "learned"},
                {"landmark_q", "landmark_k"},
            ),
            ({"layout": "causal", "segment_len": 8}, set()),
        ):
            block = CausalAttention(64, 4, **keys)
            block(torch.randn(2, 30, 64)).square().sum().backward()
            own = {name for name, _ in block.named_parameters() if "." not in name}
            self.assertEqual(own, names)
            for name, parameter in block.named_parameters():
                self.assertGreater(parameter.grad.norm(), 0, name)

    def test_compiles_whole(self):
        block = CausalAttention(64, 4, **LEARNED)
        compiled = torch.compile(block, backend="aot_eager", fullgraph=True)
        x = torch.randn(2, 30, 64)
        self.assertTrue(torch.equal(compiled(x), block(x)))

    def test_heads_divide_dim(self):
        with self.assertRaisesRegex(nysjit.Error, "heads: expected a divisor of dim"):
            CausalAttention(64, 5, layout="exact_causal")


    def test_what_sizes_parameters_is_named(self):
        learned = {key: value for key, value in LEARNED.items() if key != "probes"}
        scan = {"layout": "scan", "landmark_source": "learned"}
        for heads, keys, message in (
            (0, EXACT, "heads: expected an integer of at least 1, found 0"),
            (4, {**EXACT, "key_heads": 3}, "key_heads: expected a divisor of heads .4., found 3"),
            (4, learned, "probes: expected an integer of at least 1, found no such key"),
            (4, {**learned, "probes": 0}, "probes: expected an integer of at least 1, found 0"),
            (4, scan, "landmarks: expected an integer of at least 1, found no such key"),
            (4, {**learned, "probes": 2, "conv_kernel": "3"}, "conv_kernel: expected .*found '3'"),
        ):
            with self.subTest(message), self.assertRaisesRegex(nysjit.Error, message):
                CausalAttention(64, heads, **keys)

    def test_the_rank_of_the_input_is_named(self):
        block = CausalAttention(64, 4, **EXACT)
        with self.assertRaisesRegex(nysjit.Error, "x.ndim: expected 3 dimensions, found 2"):
            block(torch.randn(20, 64))
        with self.assertRaisesRegex(nysjit.Error, "x.ndim: expected 2 dimensions with cu_seqlens"):
            block(torch.randn(1, 20, 64), cu_seqlens=torch.tensor([0, 20]))


class Calibration(unittest.TestCase):
    def setUp(self):
        seeded(self.id())

    def test_one_probe_is_the_mean_query(self):
        block = CausalAttention(64, 4, **{**LEARNED, "probes": 1})
        batches = [torch.randn(2, 30, 64), torch.randn(1, 9, 64)]
        self.assertEqual(calibrate(block, batches), 1)
        queries = torch.cat([block.qkv(x)[..., :64].reshape(-1, 4, 16) for x in batches])
        self.assertTrue(torch.allclose(block.probes[:, 0], queries.mean(0), atol=1e-5))
        self.assertTrue(block.probes.requires_grad)

    def test_padding_is_left_out(self):
        block = CausalAttention(64, 4, **{**LEARNED, "probes": 1})
        x = torch.randn(2, 30, 64)
        calibrate(block, [{"x": x, "seqlens": torch.tensor([30, 5])}])
        queries = torch.cat((x[0], x[1, :5])) @ block.qkv.weight[:64].T + block.qkv.bias[:64]
        self.assertTrue(torch.allclose(block.probes[:, 0], queries.mean(0).view(4, 16), atol=1e-5))

    def test_layers_see_what_calibrated_ones_make(self):
        model = nn.Sequential(*(CausalAttention(64, 4, **LEARNED) for _ in range(3)))
        self.assertEqual(calibrate(model, [torch.randn(2, 30, 64)]), 3)
        again = [block.probes.clone() for block in model]
        with torch.no_grad():
            model[0].probes.zero_()
        torch.manual_seed(0)
        calibrate(model, [torch.randn(2, 30, 64)])
        torch.manual_seed(0)
        calibrate(model, [torch.randn(2, 30, 64)])
        self.assertFalse(torch.equal(again[0], model[0].probes))
        self.assertIsNone(model[0]._seen)

    def test_the_seed_has_64_bits(self):
        block = CausalAttention(64, 4, **LEARNED)
        for seed in (-1, 2**64, 1.5):
            with self.assertRaisesRegex(nysjit.Error, f"seed: expected .*found {seed}"):
                calibrate(block, [torch.randn(1, 9, 64)], seed=seed)

    def test_none_to_fill_is_an_error(self):
        with self.assertRaisesRegex(nysjit.Error, "model: expected a CausalAttention with probes"):
            calibrate(CausalAttention(64, 4, layout="exact_causal"), [torch.randn(1, 5, 64)])


if __name__ == "__main__":
    unittest.main()
