"""Models of transformers that take nysjit's attention by name. Those of layout exact_causal beside
transformers' own SDPA: logits, padding, packing, training; causality, calibration, an encoder.
"""

import unittest
import warnings

import torch
from cases import seeded
from models import CONFIGS, LEARNED, SMALL, ids_of, logits, model_of

import nysjit
import transformers
from nysjit.transformers import add_parameters, calibrate, register


class Logits(unittest.TestCase):
    """Of layout exact_causal: those of SDPA within rounding."""

    def setUp(self):
        seeded(self.id())

    def near(self, found, right, tolerance=2e-6):
        error = (found - right).norm() / right.norm()
        self.assertLess(error.item(), tolerance)

    def test_of_one_length(self):
        for kind in CONFIGS:
            with self.subTest(kind):
                ids = ids_of(2, 40)
                right = logits(model_of(kind, "sdpa"), ids)
                self.near(logits(model_of(kind, "exact"), ids), right)
                ones = torch.ones_like(ids)
                self.near(logits(model_of(kind, "exact"), ids, attention_mask=ones), right)

    def test_padded_on_either_side(self):
        for kind in CONFIGS:
            sdpa, ours = model_of(kind, "sdpa"), model_of(kind, "exact")
            for side in ("left", "right"):
                with self.subTest(kind, side=side):
                    ids, mask = ids_of(3, 30), torch.ones(3, 30, dtype=torch.int64)
                    for row, length in enumerate((30, 17, 1)):
                        padding = (
                            slice(None, 30 - length) if side == "left" else slice(length, None)
                        )
                        mask[row, padding] = 0
                    positions = (mask.cumsum(-1) - 1).clamp(min=0)
                    given = {"attention_mask": mask, "position_ids": positions}
                    right, found = (logits(model, ids, **given) for model in (sdpa, ours))
                    self.near(found[mask == 1], right[mask == 1])
                    self.assertTrue(found.isfinite().all())

    def test_packed(self):
        parts = [ids_of(1, length) for length in (13, 1, 26)]
        collate = transformers.DataCollatorWithFlattening(return_flash_attn_kwargs=True)
        packed = collate([{"input_ids": part[0].tolist()} for part in parts])
        del packed["labels"]
        for kind in CONFIGS:
            with self.subTest(kind):
                right = [logits(model_of(kind, "sdpa"), part) for part in parts]
                self.near(logits(model_of(kind, "exact"), **packed), torch.cat(right, 1))

    def test_under_autocast(self):
        ids = ids_of(2, 40)
        with torch.autocast("cpu", torch.bfloat16):
            right, found = (logits(model_of("llama", name), ids) for name in ("sdpa", "exact"))
        self.near(found.float(), right.float(), tolerance=2e-2)


class Causality(unittest.TestCase):
    """What comes later changes nothing before it, not by one bit."""

    def test_of_approximate_layouts(self):
        seeded(self.id())
        for name in ("causal", "dyadic"):
            for kind in CONFIGS:
                with self.subTest(name, kind=kind):
                    model = add_parameters(model_of(kind, name))
                    ids = ids_of(2, 70)
                    other = torch.cat((ids[:, :45], ids_of(2, 25)), 1)
                    one, two = logits(model, ids), logits(model, other)
                    self.assertTrue(torch.equal(one[:, :45], two[:, :45]))
                    self.assertFalse(torch.equal(one[:, 45:], two[:, 45:]))

    def test_far_segments_are_seen(self):
        seeded(self.id())
        for name in ("causal", "dyadic"):
            model = add_parameters(model_of("llama", name))
            ids = ids_of(1, 70)
            one, two = logits(model, ids), logits(model, torch.cat((ids_of(1, 5), ids[:, 5:]), 1))
            self.assertFalse(torch.equal(one[:, 69], two[:, 69]))


class Training(unittest.TestCase):
    def losses(self, kind, attention, steps=12, **options):
        model = model_of(kind, attention, **options).train()
        if attention not in ("sdpa", "exact"):
            add_parameters(model)
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
        torch.manual_seed(3)
        ids = ids_of(4, 32)
        found = []
        for _ in range(steps):
            scores = model(input_ids=ids, use_cache=False).logits[:, :-1]
            loss = torch.nn.functional.cross_entropy(scores.flatten(0, 1), ids[:, 1:].flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            found.append(loss.item())
        return torch.tensor(found), model

    def test_losses_fall_as_sdpas(self):
        for kind, options in (
            ("gpt2", {"attn_pdrop": 0.0, "resid_pdrop": 0.0, "embd_pdrop": 0.0}),
            ("llama", {}),
        ):
            with self.subTest(kind):
                right, _ = self.losses(kind, "sdpa", **options)
                self.assertLess(right[-1], right[0] / 2)
                found, _ = self.losses(kind, "exact", **options)
                self.assertTrue(torch.allclose(found, right, rtol=1e-3), (found, right))
                found, _ = self.losses(kind, "causal", **options)
                self.assertLess(found[-1], right[0] / 2)

    def test_probes_learn_and_are_saved(self):
        _, model = self.losses("llama", "dyadic", steps=2)
        names = [name for name in model.state_dict() if "nysjit" in name]
        self.assertEqual(names, [f"model.layers.{i}.self_attn.nysjit_landmark_q" for i in range(2)])
        for name, parameter in model.named_parameters():
            if "nysjit" in name:
                self.assertGreater(parameter.grad.norm(), 0, name)
        again = add_parameters(model_of("llama", "dyadic"))
        again.load_state_dict(model.state_dict())
        ids = ids_of(1, 40)
        self.assertTrue(torch.equal(logits(again, ids), logits(model, ids)))

    def test_checkpointing_changes_no_bit(self):
        model = model_of("llama", "causal").train()
        ids = ids_of(2, 30)
        found = []
        for is_on in (False, True):
            if is_on:
                model.activation_checkpointing_enable()
            model.zero_grad()
            model(input_ids=ids, use_cache=False).logits.square().mean().backward()
            found.append([parameter.grad for parameter in model.parameters()])
        for one, other in zip(*found):
            self.assertTrue(torch.equal(one, other))

    def test_dropout_is_warned_of_once(self):
        for is_compiled in (False, True):
            register("noted", layout="exact_causal")
            model = model_of("gpt2", "noted").train()
            run = torch.compile(model, backend="eager", fullgraph=True) if is_compiled else model
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                for _ in range(2):
                    run(input_ids=ids_of(1, 9), use_cache=False)
            texts = [str(one.message) for one in caught if "noted" in str(one.message)]
            self.assertEqual(len(texts), 1, texts)
            self.assertIn("attention dropout 0.1", texts[0])


class Encoder(unittest.TestCase):
    def test_padding_is_nowhere(self):
        seeded(self.id())
        register("encoder", layout="bidirectional", segment_len=8)
        config = transformers.BertConfig(**SMALL, hidden_size=64, intermediate_size=64,
                                         num_hidden_layers=2, num_attention_heads=4)  # fmt: skip
        make = transformers.AutoModelForMaskedLM.from_config
        model = make(config, attn_implementation="encoder").eval()
        ids, mask = ids_of(2, 30), torch.ones(2, 30, dtype=torch.int64)
        mask[1, 17:] = 0
        found = logits(model, ids, attention_mask=mask)
        for row, length in enumerate((30, 17)):
            right = logits(model, ids[row : row + 1, :length])[0]
            self.assertTrue(torch.allclose(found[row, :length], right, atol=1e-5))
        other = ids.clone()
        other[0, 29] = 1 + other[0, 29] % 60
        self.assertFalse(torch.equal(logits(model, other)[0, 0], logits(model, ids)[0, 0]))
        model.set_attn_implementation("exact")
        text = 'BertSelfAttention: expected layout "bidirectional", found "exact_causal"'
        with self.assertRaisesRegex(nysjit.Error, text):
            logits(model, ids)


class Calibration(unittest.TestCase):
    def test_one_probe_is_the_mean_query_without_padding(self):
        seeded(self.id())
        register("mean", **{**LEARNED, "probes": 1})
        model = model_of("gpt2", "mean")
        ids, mask = ids_of(2, 30), torch.ones(2, 30, dtype=torch.int64)
        mask[1, 11:] = 0
        self.assertEqual(calibrate(model, [{"input_ids": ids, "attention_mask": mask}]), 2)
        first = model.transformer.h[0]
        x = model.transformer.wte(ids) + model.transformer.wpe(torch.arange(30))
        queries = first.attn.c_attn(first.ln_1(x))[mask == 1][:, :64].view(-1, 4, 16)
        probes = first.attn.nysjit_landmark_q
        self.assertTrue(torch.allclose(probes[:, 0], queries.mean(0), atol=1e-5))
        self.assertTrue(probes.requires_grad)
        self.assertFalse(hasattr(first.attn, "nysjit_seen"))

    def test_none_to_fill_is_an_error(self):
        with self.assertRaisesRegex(nysjit.Error, "model: expected attention with probes"):
            calibrate(model_of("gpt2", "exact"), [ids_of(1, 5)])
        with self.assertRaisesRegex(nysjit.Error, "model: expected attention of a name"):
            calibrate(model_of("gpt2", "sdpa"), [ids_of(1, 5)])


if __name__ == "__main__":
    unittest.main()
