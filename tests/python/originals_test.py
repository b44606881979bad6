"""The drop-ins for two encoders' attention beside their originals, where these are installed.

The originals begin the inverse with a maximum over the batch and the heads. Given each head's own,
which one has as an option of the layer, all outputs and gradients are the same.
"""

import unittest
from unittest import mock

import torch
from cases import distance
from encoders import BOUND, Same, larger, results

from nysjit.torch import NystromAttention, NystromformerSelfAttention

NEAR = 0.2  # with the maximum of the batch, and parameters three times as large as at the start


def original(load):
    """What is loaded; without it the test is skipped, aloud."""
    try:
        return load()
    except ImportError as error:
        print(f"\nnote: a drop-in beside its original: skipped, {error}", flush=True)
        raise unittest.SkipTest(str(error)) from None


def own_inverse(a, iters=6):
    """In place of lucidrains' function: a head begins with its own sums."""
    z = a.mT / (a.sum(-1).amax(-1) * a.sum(-2).amax(-1))[..., None, None]
    one = torch.eye(a.shape[-1], dtype=a.dtype)
    for _ in range(iters):
        y = a @ z
        z = z @ (13 * one - y @ (15 * one - y @ (7 * one - y))) / 4
    return z


def pair(first, second):
    """Both with the first's parameters, and back: the names are the same."""
    larger(first)
    second.load_state_dict(first.state_dict())
    first.load_state_dict(second.state_dict())
    return first, second.eval()


class Lucidrains(Same):
    def setUp(self):
        super().setUp()

        def load():
            from nystrom_attention import nystrom_attention

            return nystrom_attention

        self.module = original(load)

    def pair(self, **options):
        options = {"dim": 64, "dim_head": 32, "heads": 3, "num_landmarks": 8, **options}
        return pair(self.module.NystromAttention(**options), NystromAttention(**options))

    def both(self, batch, rows, mask=None, **options):
        """What results gives, ours and theirs in float64."""
        theirs, ours = self.pair(**options)
        x, weights = torch.randn(batch, rows, 64), torch.randn(batch, rows, 64)
        right = results(theirs.double(), x.double(), weights.double(), mask)
        return results(ours, x, weights, mask), right

    def with_own_inverse(self):
        return mock.patch.object(self.module, "moore_penrose_iter_pinv", own_inverse)

    def test_one_head_of_one_sample_is_the_same(self):
        for rows in (64, 61, 8):
            self.compare(*self.both(1, rows, heads=1))

    def test_heads_and_samples_are_near(self):
        found, right = self.both(3, 64)
        self.assertLessEqual(distance(found[0], right[0]), NEAR)

    def test_with_heads_own_beginnings_all_is_the_same(self):
        with self.with_own_inverse():
            for options in (
                {},
                {"residual": False},
                {"residual_conv_kernel": 5, "pinv_iterations": 3, "dim_head": 20},
                {"num_landmarks": 16, "heads": 1},
            ):
                for rows in (64, 61):
                    for mask in (None, torch.ones(3, rows, dtype=torch.bool)):
                        self.compare(*self.both(3, rows, mask, **options))

    def test_weights_are_the_same(self):
        theirs, ours = self.pair()
        with self.with_own_inverse():
            for rows in (64, 61):
                for mask in (None, torch.ones(2, rows, dtype=torch.bool)):
                    x = torch.randn(2, rows, 64)
                    right = theirs(x, mask=mask, return_attn=True)[1]
                    found = ours(x, mask=mask, return_attn=True)[1]
                    right = right[..., -found.shape[2] :, -found.shape[3] :]
                    self.assertLessEqual(distance(found.detach(), right.detach()), BOUND)
                x = torch.randn(2, 64, 64)
                right = theirs(x, return_attn_matrices=True)[1]
                found = ours(x, return_attn_matrices=True)[1]
                for i in range(3):
                    self.assertLessEqual(distance(found[i].detach(), right[i].detach()), BOUND)

    def test_in_their_model(self):
        options = {"dim": 64, "depth": 2, "dim_head": 32, "heads": 3, "num_landmarks": 8}
        theirs = self.module.Nystromformer(**options)
        with mock.patch.object(self.module, "NystromAttention", NystromAttention):
            ours = self.module.Nystromformer(**options)
        theirs, ours = pair(theirs, ours)
        x, weights = torch.randn(2, 61, 64), torch.randn(2, 61, 64)
        mask = torch.ones(2, 61, dtype=torch.bool)
        with self.with_own_inverse():
            for given in (None, mask):
                right = results(theirs.double(), x.double(), weights.double(), given)
                self.compare(results(ours, x, weights, given), right, 1e-2)

    def test_dropout_is_the_same(self):
        theirs, ours = self.pair(dropout=0.5, heads=1)
        x = torch.randn(1, 64, 64)
        found = []
        for layer in (theirs.train(), ours.train()):
            torch.manual_seed(0)
            found.append(layer(x).detach())
        self.assertGreater((found[0] == 0).sum(), 0)
        self.assertLessEqual(distance(found[1], found[0]), BOUND)


class Transformers(Same):
    def setUp(self):
        super().setUp()

        def load():
            from transformers import NystromformerConfig
            from transformers.models.nystromformer import modeling_nystromformer as module

            return NystromformerConfig, module

        self.config, self.module = original(load)

    def configured(self, **options):
        return self.config(**{"hidden_size": 64, "num_attention_heads": 2, "num_hidden_layers": 2,
                              "intermediate_size": 64, "conv_kernel_size": 5,
                              "segment_means_seq_len": 64, "num_landmarks": 8, "vocab_size": 99,
                              **options})  # fmt: skip

    def both(self, mask=None, ask=False, begins_with=None, **options):
        config = self.configured(**options)
        theirs, ours = pair(
            self.module.NystromformerSelfAttention(config), NystromformerSelfAttention(config)
        )
        theirs.init_option = begins_with or theirs.init_option
        x, weights = torch.randn(2, 64, 64), torch.randn(2, 64, 64)
        right = results(theirs.double().train(), x.double(), weights.double(), mask, ask)
        return results(ours.train(), x, weights, mask, ask), right

    def model(self, **options):
        """Theirs with the original and with ours, and the same parameters."""
        config = self.configured(**options)
        theirs = self.module.NystromformerModel(config)
        name = "NystromformerSelfAttention"
        with mock.patch.object(self.module, name, NystromformerSelfAttention):
            ours = self.module.NystromformerModel(config)
        return pair(theirs, ours)

    def test_is_near(self):
        found, right = self.both()
        self.assertLessEqual(distance(found[0], right[0]), NEAR)

    def test_with_heads_own_beginnings_all_is_the_same(self):
        for options in ({}, {"num_landmarks": 16, "num_attention_heads": 8}):
            for mask in (None, torch.zeros(2, 1, 1, 64)):
                for ask in (False, True):
                    self.compare(*self.both(mask, ask, "exact", **options))

    def test_as_many_landmarks_as_positions_are_exact(self):
        mask = torch.where(torch.rand(2, 1, 1, 64) < 0.7, 0.0, -1e4)
        mask[..., 0] = 0
        for given in (None, mask):
            for ask in (False, True):
                self.compare(*self.both(given, ask, num_landmarks=64, conv_kernel_size=65))

    def test_in_its_model(self):
        theirs, ours = self.model(num_landmarks=64)
        ids = torch.randint(0, 99, (2, 64))
        mask = torch.arange(64) < torch.tensor([64, 40])[:, None]
        with torch.no_grad():
            for given in (None, mask.long()):
                right = theirs(ids, attention_mask=given, output_attentions=True)
                found = ours(ids, attention_mask=given, output_attentions=True)
                for x, y in (
                    (found.last_hidden_state, right.last_hidden_state),
                    *zip(found.attentions, right.attentions),
                ):
                    self.assertLessEqual(distance(x, y), BOUND)

    def test_padding_is_nowhere_in_its_model(self):
        _, ours = self.model()
        ids = torch.randint(0, 99, (2, 64))
        mask = torch.arange(64) < torch.tensor([64, 40])[:, None]
        mask[0, 50:60] = False
        places = torch.arange(64) + 2  # as the model numbers them
        with torch.no_grad():
            padded = ours(ids, attention_mask=mask.long()).last_hidden_state
            for b in range(2):
                own, here = ids[b, mask[b]][None], places[mask[b]][None]
                alone = ours(own, position_ids=here).last_hidden_state
                self.assertLessEqual(distance(padded[b, mask[b]], alone[0]), BOUND)

    def test_attentions_have_gradients(self):
        layer = NystromformerSelfAttention(self.configured())
        for mask in (None, torch.rand(2, 1, 1, 64) < 0.5):
            o, weights = layer(torch.randn(2, 64, 64), mask, True)
            weights.retain_grad()
            o.square().sum().backward()
            self.assertGreater(weights.grad.norm(), 0)

    def test_attentions_in_its_model(self):
        theirs, ours = self.model()
        ids = torch.randint(0, 99, (2, 64))
        for layer in theirs.encoder.layer:
            layer.attention.self.init_option = "exact"
        with torch.no_grad():
            right = theirs(ids, output_attentions=True).attentions
            found = ours(ids, output_attentions=True).attentions
        self.assertEqual(len(found), 2)
        for i in range(2):
            self.assertLessEqual(distance(found[i], right[i]), 1e-3)


if __name__ == "__main__":
    unittest.main()
