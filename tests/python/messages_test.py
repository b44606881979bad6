"""What is wrong is named as the caller wrote it, with what was expected and what was found."""

import unittest

import torch

import nysjit
from nysjit.torch import attention

Q = torch.zeros(2, 4, 20, 16)
EXACT = {"layout": "exact_causal"}
CAUSAL = {"layout": "causal", "segment_len": 8}
LEARNED = {**CAUSAL, "landmark_source": "learned", "probes": 2}
LENGTHS = torch.tensor([20, 20])
WRAPPED = LENGTHS + 2**32  # the same in 32 bits
PACKED = {name: Q[0].transpose(0, 1) for name in "qkv"}

# (arguments beside q, k, v, which are Q unless given; the message)
CASES = (
    ({"k": Q[..., :8], **EXACT}, "k.shape[3]: expected 16, found 8"),
    ({"v": Q[:, :, :7], **EXACT}, "v.shape[2]: expected 20 (n, as in q), found 7"),
    ({"k": Q[:, :3], "v": Q[:, :3], **EXACT},
     "k: expected a number of key/value heads that divides the query heads (4), found 3"),
    ({"v": Q.bfloat16(), **EXACT}, "v.dtype: expected float32, found bfloat16"),
    ({"q": Q.double(), **EXACT},
     "q.dtype: expected float32, float16 or bfloat16, found float64"),
    ({"q": Q[0], **EXACT}, "q.ndim: expected 4 dimensions, or 3 of sequences packed by cu_seqlens, "
     "found 3"),
    ({"k": Q.to("meta"), **EXACT}, "k.device: expected cpu, as q, found meta"),
    ({"q": Q.to("meta"), **EXACT}, "k.device: expected meta, as q, found cpu"),
    ({**LEARNED, "landmark_q": Q[0, :, :2].to("meta")}, "landmark_q.device: expected cpu, as q"),
    ({**EXACT, "seqlens": LENGTHS.to("meta")}, "seqlens.device: expected cpu, as q, found meta"),
    ({**EXACT, "dtype": "float16"}, "q.dtype: expected float16, found float32"),
    ({**EXACT, "head_dim": 32}, "q.shape[3]: expected 32, found 16"),
    ({"layout": "casual"}, 'layout: expected "causal", "exact_causal", "bidirectional", '
     '"segment_causal", "prefix_lm" or "scan", found "casual"'),
    ({"layout": "causal"}, "landmarks: "),
    ({**EXACT, "window": 1}, "window: "),
    ({**EXACT, "scale": float("inf")},
     "scale: expected a finite number, at most 2.35e38 in size, found inf"),
    ({**EXACT, "scale": float("nan")},
     "scale: expected a finite number, at most 2.35e38 in size, found nan"),
    ({**EXACT, "scale": torch.ones((), requires_grad=True)},
     "scale: expected a number, found a tensor whose gradient is asked for"),
    (LEARNED, "landmark_q: expected a tensor, found None"),
    ({**EXACT, "landmark_q": Q[0]}, "landmark_q: expected None (a program with layout exact_causal "
     "has no such argument), found a tensor"),
    ({**LEARNED, "landmark_q": Q[0, :, :3]}, "landmark_q.shape[1]: expected 2, found 3"),
    ({**CAUSAL, "conv_kernel": 3, "conv": Q[0, 0, :4, :2]}, "conv.shape[1]: expected 3, found 2"),
    ({**EXACT, "seqlens": LENGTHS + 1}, "seqlens[0]: "),
    ({**EXACT, "seqlens": LENGTHS[:1]}, "seqlens: expected 2 numbers, one a sequence, or none, "
     "found 1"),
    ({**EXACT, "seqlens": LENGTHS.float()},
     "seqlens.dtype: expected integers, found float32"),
    ({**EXACT, "seqlens": LENGTHS == 20}, "seqlens.dtype: expected integers, found bool"),
    ({**EXACT, "seqlens": [20, 20]}, "seqlens: expected a tensor of integers, found list"),
    ({**EXACT, "seqlens": WRAPPED}, "seqlens[0]: expected 0 to 20"),
    ({**EXACT, "seqlens": -WRAPPED}, "seqlens[0]: expected 0 to 20"),
    ({**EXACT, "seqlens": LENGTHS - 5, "seq_starts": WRAPPED - 20}, "seq_starts[0]: "),
    ({**EXACT, **PACKED, "cu_seqlens": WRAPPED}, "cu_seqlens[0]: expected 0 to 20"),
    ({**EXACT, **PACKED, "cu_seqlens": LENGTHS[:0]}, "cu_seqlens: expected B + 1 numbers with "),
    ({"layout": "prefix_lm", "segment_len": 8, "source_len": WRAPPED}, "source_len[0]: "),
    ({**EXACT, "seqlens": LENGTHS, "max_length": 5}, "seqlens[0]: "),
    ({**EXACT, "seqlens": LENGTHS, "max_length": -1}, "max_length: expected at least 0, found -1"),
    ({**EXACT, "seq_starts": LENGTHS}, "seq_starts: expected None without seqlens, found a tensor"),
    ({**EXACT, "seqlens": LENGTHS, "cu_seqlens": LENGTHS},
     "cu_seqlens: expected None with seqlens or seq_starts, found a tensor"),
    ({**EXACT, "cu_seqlens": LENGTHS},
     "q.ndim: expected 3 dimensions, as cu_seqlens packs the sequences, found 4"),
    ({"spec": nysjit.Spec(**EXACT), "layout": "causal"},
     "layout: expected no keys beside spec, found one"),
    ({**EXACT, "max_length": 5}, "max_length: expected None without seqlens, found a number"),
    ({**EXACT, "k": None}, "k: expected a tensor, found NoneType"),
    ({**EXACT, "v": Q.tolist()}, "v: expected a tensor, found list"),
    ({**LEARNED, "landmark_q": 3}, "landmark_q: expected a tensor, found int"),
    ({"spec": EXACT}, "spec: expected a nysjit.Spec or its JSON, found dict"),
    ({"spec": '{"layout":"exact_causal","pass":"saving"}'}, "pass: expected none, it follows from"),
    ({**CAUSAL, "stabilizer": float("nan")},
     'stabilizer: expected a number, 0 to 1000000, found "nan"'),
    ({**CAUSAL, "stabilizer": -float("inf")},
     'stabilizer: expected a number, 0 to 1000000, found "-inf"'),
    ({"spec": "{"}, ""),
    ({"spec": "[]"}, ""),
)  # fmt: skip


class Messages(unittest.TestCase):
    def test_are_these(self):
        for given, message in CASES:
            for needs_gradient in (False, True):
                with self.subTest(message, gradient=needs_gradient):
                    tensors = {"q": Q, "k": Q, "v": Q, **given}
                    q = tensors.pop("q").clone().requires_grad_(needs_gradient)
                    with self.assertRaises(RuntimeError) as caught:
                        attention(q, **tensors)
                    self.assertTrue(str(caught.exception).startswith(message), caught.exception)
                    self.assertTrue(str(caught.exception))

    def test_what_is_no_tensor_is_named_under_autocast_and_without_gradients(self):
        with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
            for name in "qkv":
                with self.assertRaisesRegex(RuntimeError, f"'?{name}'?"):
                    attention(**{"q": Q, "k": Q, "v": Q, name: Q.numpy()}, **EXACT)

    def test_pass_is_no_key(self):
        with self.assertRaisesRegex(nysjit.Error, "pass: expected none"):
            attention(Q, Q, Q, layout="exact_causal", **{"pass": "saving"})

    def test_of_a_specs_json(self):
        for text, message in (
            ('{"landmarks": 3, "landmarks": 4}', "landmarks: expected the key once in its object"),
            ('{"layout"', "spec: expected a JSON object, found "),
            ("[]", "spec: expected a JSON object, found "),
            ('{"layout": "causal", "pass": "saving"}', "pass: expected none"),
        ):
            with self.subTest(text), self.assertRaisesRegex(nysjit.Error, message):
                nysjit.Spec.from_json(text)
        spec = nysjit.Spec(layout="causal", segment_len=8, stabilizer=0.5)
        self.assertEqual(nysjit.Spec.from_json(str(spec)), spec)

    def test_what_was_refused_does_not_stand_for_its_equal(self):
        keys = {"layout": "causal", "segment_len": 13}  # of no other test: 1 may stand for True
        for refused, taken in ((2.0, 2), (True, 1)):
            with self.assertRaisesRegex(RuntimeError, "^window: expected an integer"):
                attention(Q, Q, Q, **keys, window=refused)
            attention(Q, Q, Q, **keys, window=taken)

    def test_no_list_and_no_tensor_is_a_value(self):
        attention(Q, Q, Q, **CAUSAL, window=1)
        for value in ([1], torch.ones(2)):
            with self.assertRaisesRegex(RuntimeError, "^window: expected"):
                attention(Q, Q, Q, **CAUSAL, window=value)

    def test_an_error_leaves_nothing_behind(self):
        right = attention(Q, Q, Q, **EXACT)
        for _ in range(3):
            with self.assertRaises(RuntimeError):
                attention(Q, Q[..., :8], Q, **EXACT)
            self.assertTrue(torch.equal(attention(Q, Q, Q, **EXACT), right))

    def test_of_prepare(self):
        with self.assertRaises(nysjit.Error) as caught:
            nysjit.prepare(nysjit.Spec(layout="causal", head_dim=65, landmarks=4))
        self.assertEqual(
            (caught.exception.kind, caught.exception.where), ("invalid_key", "head_dim")
        )
        self.assertEqual(caught.exception.found, "65")


if __name__ == "__main__":
    unittest.main()
