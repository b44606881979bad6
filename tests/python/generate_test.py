"""Models of transformers with nysjit's attention: generation, compiled graphs, and what is
refused.
"""

import re
import subprocess
import sys
import unittest

import torch
from cases import SOURCE, seeded
from models import CONFIGS, ids_of, logits, model_of

import nysjit
from nysjit.transformers import Cache, add_parameters, register
from transformers import DynamicCache, StaticCache


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
        register("both", layout="bidirectional", segment_len=8)
        text = 'GPT2Attention: expected a causal layout, found "bidirectional"'
        self.refuses(text, lambda: logits(model_of("gpt2", "both"), ids_of(1, 8)))


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
