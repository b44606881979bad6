"""Models of transformers that take nysjit's attention by name: tiny ones, from configs. Those of
layout exact_causal beside transformers' own SDPA: logits, padding, packing, training, generation.
"""

import re
import subprocess
import sys
import unittest
import warnings

import torch
from cases import SOURCE, seeded

import nysjit

try:
    import transformers
    from transformers import DynamicCache, StaticCache

    import nysjit.transformers
    from nysjit.transformers import Cache, add_parameters, calibrate, register
except ImportError as error:
    print(f"skipped: no transformers ({error})", flush=True)
    sys.exit(77)

SMALL = {"vocab_size": 61, "bos_token_id": None, "eos_token_id": None, "pad_token_id": 0}
LLAMA = {**SMALL, "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2,
         "max_position_embeddings": 256}  # fmt: skip
CONFIGS = {
    "gpt2": {**SMALL, "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 256},
    "llama": LLAMA,
    "mistral": {**LLAMA, "sliding_window": 200},
    "qwen2": LLAMA,
}
LEARNED = {"layout": "causal", "segment_len": 8, "landmark_source": "learned", "probes": 2}
# What a name stands for stays so: "causal" in all tests is the same.
register("exact", layout="exact_causal")
register("causal", layout="causal", segment_len=8)
register("dyadic", **LEARNED, landmark_spacing="dyadic")


def model_of(kind, attention, **options):
    """One with the same weights whatever its attention."""
    config = transformers.AutoConfig.for_model(kind, **{**CONFIGS[kind], **options})
    torch.manual_seed(7)
    model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation=attention)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(3)  # so that attention is no mean of all
    return model.eval()


def ids_of(*shape):
    return torch.randint(1, 61, shape)


def logits(model, ids, **given):
    with torch.no_grad():
        return model(input_ids=ids, use_cache=False, **given).logits


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
        lengths = (13, 1, 26)
        ids = ids_of(1, sum(lengths))
        positions = torch.cat([torch.arange(n) for n in lengths])[None]
        cu_seqlens = torch.tensor([0, 13, 14, 40], dtype=torch.int32)
        packed = {"cu_seq_lens_q": cu_seqlens, "cu_seq_lens_k": cu_seqlens,
                  "max_length_q": 26, "max_length_k": 26}  # fmt: skip
        for kind in CONFIGS:
            with self.subTest(kind):
                right = [logits(model_of(kind, "sdpa"), part) for part in ids.split(lengths, 1)]
                ours = model_of(kind, "exact")
                found = logits(ours, ids, position_ids=positions, **packed)
                self.near(found, torch.cat(right, 1))

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


def generate(model, ids, **options):
    return model.generate(ids, do_sample=False, max_new_tokens=10, pad_token_id=0, **options)


class Generation(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(5)  # the same prompts, for any may have two next tokens as likely

    def test_exact_is_sdpas_with_our_cache_and_without(self):
        for kind in CONFIGS:
            with self.subTest(kind):
                ids = ids_of(2, 12)
                right = generate(model_of(kind, "sdpa"), ids)
                ours = model_of(kind, "exact")
                self.assertTrue(torch.equal(generate(ours, ids, cache=Cache()), right))
                self.assertTrue(torch.equal(generate(ours, ids, use_cache=False), right))

    def test_prompts_padded_on_the_left(self):
        ids, mask = ids_of(3, 12), torch.ones(3, 12, dtype=torch.int64)
        mask[1, :5], mask[2, :11] = 0, 0
        for kind in ("gpt2", "llama"):
            right = generate(model_of(kind, "sdpa"), ids, attention_mask=mask)
            found = generate(model_of(kind, "exact"), ids, attention_mask=mask, cache=Cache())
            self.assertTrue(torch.equal(found, right), kind)

    def test_beams(self):
        ids = ids_of(2, 12)
        right = generate(model_of("llama", "sdpa"), ids, num_beams=3)
        found = generate(model_of("llama", "exact"), ids, num_beams=3, cache=Cache())
        self.assertTrue(torch.equal(found, right))

    def test_far_segments_need_queries_and_find_them(self):
        for name in ("causal", "dyadic"):
            model = add_parameters(model_of("llama", name))
            ids = ids_of(2, 30)
            options = {"output_logits": True, "return_dict_in_generate": True}
            right = generate(model, ids, use_cache=False, **options)
            found = generate(model, ids, cache=Cache(), **options)
            self.assertTrue(torch.equal(found.sequences, right.sequences), name)
            for one, other in zip(found.logits, right.logits):
                self.assertTrue(torch.allclose(one, other, atol=1e-4), name)

    def test_a_cache_is_cropped_repeated_reordered_and_reset(self):
        model = model_of("llama", "causal")
        ids = ids_of(2, 30)
        right = logits(model, ids)[:, -4:]
        cache = Cache()
        with torch.no_grad():
            model(input_ids=torch.cat((ids[:, :26], ids_of(2, 3)), 1), cache=cache)
            cache.crop(-3)
            found = model(input_ids=ids[:, 26:], cache=cache).logits
            self.assertTrue(torch.allclose(found, right, atol=1e-4))
            cache.crop(-4)
            cache.batch_repeat_interleave(2)
            cache.batch_select_indices(torch.tensor([0, 2]))
            found = model(input_ids=ids[:, 26:], cache=cache).logits
            self.assertTrue(torch.allclose(found, right, atol=1e-4))
            cache.crop(-4)
            cache.reorder_cache(torch.tensor([1, 0]))
            found = model(input_ids=ids[[1, 0], 26:], cache=cache).logits
            self.assertTrue(torch.allclose(found[[1, 0]], right, atol=1e-4))
            cache.reset()
            found = model(input_ids=ids, cache=cache).logits[:, -4:]
            self.assertTrue(torch.allclose(found, right, atol=1e-4))


class Compile(unittest.TestCase):
    def test_in_one_graph(self):
        seeded(self.id())
        for kind, padded in (("gpt2", False), ("llama", True)):
            model = add_parameters(model_of(kind, "dyadic"))
            torch._dynamo.reset()
            compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
            ids = ids_of(2, 20)
            given = {"input_ids": ids, "use_cache": False}
            if padded:
                given["attention_mask"] = torch.ones_like(ids)
                given["attention_mask"][1, :7] = 0
            gradients = []
            for run in (model, compiled):
                model.zero_grad()
                o = run(**given).logits
                mask = given.get("attention_mask", torch.ones_like(ids))
                (o.square() * mask[..., None]).mean().backward()
                gradients.append([o.detach(), *(p.grad.clone() for p in model.parameters())])
            for right, found in zip(*gradients):
                self.assertTrue(torch.allclose(found, right, rtol=1e-4, atol=1e-5), kind)

    def test_what_only_a_run_knows_is_refused(self):
        model = model_of("llama", "exact")
        torch._dynamo.reset()
        compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
        ids = ids_of(1, 8)
        logits(compiled, ids, position_ids=torch.arange(8)[None])
        with self.assertRaisesRegex(RuntimeError, "position_ids: expected positions one after"):
            logits(compiled, ids, position_ids=torch.tensor([[0, 1, 2, 3, 4, 0, 1, 2]]))


class Refusals(unittest.TestCase):
    """What would be another attention than the model's is an error that says so."""

    def refuses(self, text, function):
        with self.assertRaises(nysjit.Error) as caught:
            function()
        self.assertTrue(str(caught.exception).startswith(text), caught.exception)

    def test_other_caches(self):
        for kind in CONFIGS:
            model = model_of(kind, "exact")
            ids = ids_of(1, 9)
            text = "cache: expected nysjit.transformers.Cache(), which keeps queries"
            self.refuses(text, lambda: generate(model, ids))
            for cache in (DynamicCache(), StaticCache(config=model.config, max_cache_len=64)):
                self.refuses(text, lambda: generate(model, ids, cache=cache))

    def test_positions_that_restart(self):
        positions = torch.tensor([[0, 1, 2, 3, 0, 1, 2, 3]])
        for kind in CONFIGS:
            model = model_of(kind, "exact")
            text = "position_ids: expected positions one after the other, or cu_seq_lens_q"
            self.refuses(text, lambda: logits(model, ids_of(1, 8), position_ids=positions))

    def test_masks_of_other_shapes(self):
        model = model_of("gpt2", "exact")
        holes = torch.tensor([[1, 1, 0, 1, 1]])
        text = "attention_mask: expected one run of ones a row, found several"
        self.refuses(text, lambda: logits(model, ids_of(1, 5), attention_mask=holes))
        text = "attention_mask: expected one of [B, n] positions, found one of [1, 1, 5, 5]"
        full = torch.zeros(1, 1, 5, 5)
        self.refuses(text, lambda: logits(model, ids_of(1, 5), attention_mask=full))

    def test_a_window_that_is_shorter(self):
        model = model_of("mistral", "exact", sliding_window=16)
        logits(model, ids_of(1, 16))
        text = "sliding_window: expected None or at least 17, the positions there are, found 16"
        self.refuses(text, lambda: logits(model, ids_of(1, 17)))

    def test_packed_batches(self):
        model = model_of("llama", "exact")
        given = {"cu_seq_lens_q": torch.tensor([0, 3, 8], dtype=torch.int32)}
        text = "cu_seq_lens_q: expected a batch of 1"
        self.refuses(text, lambda: logits(model, ids_of(2, 8), **given))

    def test_parameters_that_are_missing(self):
        text = (
            "LlamaAttention.nysjit_landmark_q: expected a parameter, which nysjit.transformers.add"
        )
        self.refuses(text, lambda: logits(model_of("llama", "dyadic"), ids_of(1, 8)))

    def test_layouts(self):
        self.refuses("layout: expected ", lambda: register("prefix", layout="prefix_lm"))
        register("encoder", layout="bidirectional", segment_len=8)
        text = 'GPT2Attention: expected a causal layout, found "bidirectional"'
        self.refuses(text, lambda: logits(model_of("gpt2", "encoder"), ids_of(1, 8)))


class Example(unittest.TestCase):
    def test_a_gpt2_learns_and_writes(self):
        words = [sys.executable, SOURCE / "examples/transformers_gpt2.py", "--steps", "6"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        losses = [float(loss) for loss in re.findall(r"loss (\S+)", done.stdout)]
        self.assertTrue(losses, done.stdout + done.stderr)
        self.assertLess(losses[-1], losses[0] - 1)
        self.assertIn("\nA spec ", done.stdout)


if __name__ == "__main__":
    unittest.main()
