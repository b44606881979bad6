"""CausalAttention beside SDPA and plain code; calibration; and the two drop-ins beside their
originals, where these are installed.
"""

import unittest

import torch
import torch.nn.functional as F
from cases import command, distance, seeded
from torch import nn

import nysjit
from nysjit.torch import CausalAttention, NystromAttention, NystromformerSelfAttention, calibrate

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

    def test_none_to_fill_is_an_error(self):
        with self.assertRaisesRegex(nysjit.Error, "model: expected a CausalAttention with probes"):
            calibrate(CausalAttention(64, 4, layout="exact_causal"), [torch.randn(1, 5, 64)])


def original(load):
    """What is loaded; without it the test is skipped, aloud."""
    try:
        return load()
    except ImportError as error:
        print(f"\nnote: a drop-in beside its original: skipped, {error}", flush=True)
        raise unittest.SkipTest(str(error)) from None


def pair(first, second):
    """Both with the first's parameters; larger ones than at the start, so that landmarks differ."""
    with torch.no_grad():
        for parameter in first.parameters():
            parameter.mul_(3)
    second.load_state_dict(first.state_dict())
    return first.eval(), second.eval()


class Lucidrains(unittest.TestCase):
    def setUp(self):
        seeded(self.id())

        def load():
            from nystrom_attention import NystromAttention as Theirs

            return Theirs

        self.theirs = original(load)

    def compare(self, bound, batch, rows, mask=None, **options):
        options = {"dim": 64, "dim_head": 32, "num_landmarks": 8, **options}
        theirs, ours = pair(self.theirs(**options), NystromAttention(**options))
        x = torch.randn(batch, rows, 64)
        right, found = theirs(x, mask=mask), ours(x, mask=mask)
        if mask is not None:
            right, found = right[mask], found[mask]
        self.assertLessEqual(distance(found.detach(), right.detach()), bound)

    def test_one_head_is_the_same(self):
        self.compare(1e-4, batch=1, rows=64, heads=1)

    def test_padding_on_the_left_is_the_same(self):
        self.compare(1e-4, batch=1, rows=61, heads=1)

    def test_batches_and_heads_are_near(self):
        # They begin the inverse with a maximum over the whole batch, we with each head's.
        self.compare(0.2, batch=3, rows=64, heads=4)

    def test_without_the_residual(self):
        self.compare(1e-4, batch=1, rows=64, heads=1, residual=False)

    def test_a_mask_of_all_is_none(self):
        self.compare(1e-4, batch=1, rows=64, heads=1, mask=torch.ones(1, 64, dtype=torch.bool))

    def test_masks_of_several_runs_are_refused(self):
        block = NystromAttention(64, num_landmarks=8)
        mask = torch.tensor([[True] * 5 + [False] + [True] * 6])
        with self.assertRaisesRegex(nysjit.Error, "mask: expected one run"):
            block(torch.randn(1, 12, 64), mask=mask)

    def test_weights_are_refused(self):
        block = NystromAttention(64, num_landmarks=8)
        with self.assertRaisesRegex(nysjit.Error, "return_attn: expected False"):
            block(torch.randn(1, 12, 64), return_attn=True)

    def test_trains(self):
        block = NystromAttention(64, num_landmarks=8)
        block(torch.randn(2, 61, 64)).square().sum().backward()
        for name, parameter in block.named_parameters():
            self.assertGreater(parameter.grad.norm(), 0, name)


class Transformers(unittest.TestCase):
    def setUp(self):
        seeded(self.id())

        def load():
            from transformers import NystromformerConfig
            from transformers.models.nystromformer import modeling_nystromformer as module

            return NystromformerConfig, module

        self.config, self.module = original(load)

    def configured(self, **options):
        return self.config(**{"hidden_size": 64, "num_attention_heads": 2, "num_hidden_layers": 2,
                              "intermediate_size": 64, "conv_kernel_size": 5,
                              "segment_means_seq_len": 64, "num_landmarks": 8, "vocab_size": 99,
                              "attention_probs_dropout_prob": 0.0, **options})  # fmt: skip

    def compare(self, bound, **options):
        config = self.configured(**options)
        theirs, ours = pair(
            self.module.NystromformerSelfAttention(config), NystromformerSelfAttention(config)
        )
        x = torch.randn(2, 64, 64)
        for mask in (None, torch.zeros(2, 1, 1, 64)):
            right, found = theirs(x, mask)[0], ours(x, mask)[0]
            self.assertLessEqual(distance(found.detach(), right.detach()), bound)

    def test_is_near(self):
        self.compare(0.2)  # as above: here, too, the batch's maximum begins the inverse

    def test_as_many_landmarks_as_positions_are_exact(self):
        self.compare(1e-5, num_landmarks=64)

    def test_in_its_model(self):
        model = self.module.NystromformerModel(self.configured()).eval()
        ids = torch.randint(0, 99, (1, 64))
        with torch.no_grad():
            for layer in model.encoder.layer:
                layer.attention.self.query.weight.mul_(20)
                layer.attention.self.key.weight.mul_(20)
            right = model(ids).last_hidden_state
            for layer in model.encoder.layer:
                own = NystromformerSelfAttention(model.config)
                own.load_state_dict(layer.attention.self.state_dict())
                layer.attention.self = own
            found = model(ids).last_hidden_state
        self.assertLessEqual(distance(found, right), 0.1)


if __name__ == "__main__":
    unittest.main()
