"""Operators as PyTorch's opcheck wants them, and sizes without tensors as the library has them."""

import unittest
import warnings

import torch
from cases import qkv, seeded
from random_test import SPECS, draw

from nysjit import Spec, _operators, _sizes
from nysjit._operators import BACKWARD, FIRST, FORWARD, LENGTHS, PARAMETERS, SAVING
from nysjit.torch import attention

CAUSAL = '{"head_dim":16,"landmark_source":"learned","landmarks":8,"layout":"causal","probes":2,' \
    '"segment_len":4}'  # fmt: skip
EXACT = '{"layout":"exact_causal"}'


def arguments(name):
    """Of an operator, in its order; with probes."""
    options = (CAUSAL, 0.3, torch.randn(2, 2, 16, requires_grad=True))
    if name == "attention":
        return (*qkv(2, 2, 20, 16), EXACT, 0.3)
    if name == "attention_with_parameters":
        return (*qkv(2, 2, 20, 16), *options)
    if name == "attention_padded":
        lengths = (
            torch.tensor([20, 7], dtype=torch.int32),
            torch.tensor([0, 3], dtype=torch.int32),
        )
        return (*qkv(2, 2, 20, 16), *lengths, 20, *options)
    packed = [torch.randn(20, 2, 16, requires_grad=True) for _ in range(3)]
    return (*packed, torch.tensor([0, 9, 20], dtype=torch.int32), 11, *options)


def with_wanted(name, given, wanted):
    """The arguments of a backward operator after what the saving one gave."""
    first = FIRST[name]
    return (*given[:first], wanted, *given[first:])


class Operators(unittest.TestCase):
    def setUp(self):
        seeded(self.id())
        warnings.filterwarnings("ignore", message=".*autograd kernel was not registered.*")

    def test_opcheck_of_forward(self):
        for name in LENGTHS:
            with self.subTest(name):
                torch.library.opcheck(FORWARD[name], arguments(name))

    def test_opcheck_of_saving(self):
        # But for the bytes of what is kept: between its parts are some that nobody writes.
        # compile_test.py compares what is computed from them.
        tests = ("test_schema", "test_autograd_registration", "test_faketensor")
        for name in LENGTHS:
            with self.subTest(name):
                torch.library.opcheck(SAVING[name], arguments(name), test_utils=tests)

    def test_opcheck_of_backward(self):
        for name in LENGTHS:
            with self.subTest(name):
                given = [x.detach() if isinstance(x, torch.Tensor) else x for x in arguments(name)]
                o, saved = SAVING[name](*given)
                dout = torch.randn(o.shape)
                for wanted in (0b1111, 0b0010):
                    rest = with_wanted(name, given, wanted)
                    torch.library.opcheck(BACKWARD[name], (dout, o, saved, *rest))

    def test_backward_without_what_was_kept_is_the_same(self):
        for name in LENGTHS:
            given = arguments(name)
            with torch.no_grad():
                o, saved = SAVING[name](*given)
                dout = torch.randn(o.shape)
                rest = with_wanted(name, given, 0b1111)
                kept = BACKWARD[name](dout, o, saved, *rest)
                anew = BACKWARD[name](dout, o, None, *rest)
                other = BACKWARD[name](dout, o, torch.zeros_like(saved), *rest)
            for one, same in zip(kept, anew):
                self.assertTrue(torch.equal(one, same), name)
            self.assertFalse(torch.equal(kept[0], other[0]), name)  # what was kept is read

    def test_no_longest_length_is_all_rows(self):
        for name in ("attention_padded", "attention_packed"):
            given = [x.detach() if isinstance(x, torch.Tensor) else x for x in arguments(name)]
            first, rows = FIRST[name], 20
            sizes = [
                SAVING[name](*given[:first], most, *given[first + 1 :])[1].numel()
                for most in (0, rows)
            ]
            self.assertEqual(*sizes, name)

    def test_sizes_of_what_is_kept_are_the_librarys(self):
        dice = seeded(self.id())
        for spec in SPECS:
            for kind in ("dense", "padded", "packed"):
                with self.subTest(spec=str(spec), kind=kind):
                    self.compare(spec, draw(spec, dice, kind), kind)

    def compare(self, spec, tensors, kind):
        name = "attention_" + kind.replace("dense", "with_parameters")
        order = ("q", "k", "v", *LENGTHS[name])
        most = () if kind == "dense" else (tensors["q"].shape[-2 if kind == "padded" else 0],)
        given = [tensors.get(part) for part in order]
        parameters = [tensors.get(part) for part in PARAMETERS]
        _, saved = SAVING[name](*given, *most, str(spec), None, *parameters)
        shapes = {key: tensor.shape for key, tensor in tensors.items()}
        found = _sizes.saved_bytes(str(spec), "cpu", shapes, most[0] if most else 0, min, max)
        self.assertEqual(found, saved.numel())

    def test_head_dim_and_dtype_are_qs(self):
        for size, dtype, name in (
            (16, torch.float32, "float32"),
            (32, torch.float32, "float32"),
            (16, torch.bfloat16, "bfloat16"),
        ):
            q, k, v = (x.detach() for x in qkv(2, 2, 20, size, dtype=dtype))
            full = f'{{"dtype":"{name}","head_dim":{size},"layout":"exact_causal"}}'
            found, right = (FORWARD["attention"](q, k, v, spec) for spec in (EXACT, full))
            self.assertTrue(torch.equal(found, right))
            self.assertEqual(found.dtype, dtype)

    def test_keywords_are_told_apart(self):
        """Those of the last call are found before others."""
        q, k, v = (x.detach() for x in qkv(2, 2, 40, 16))
        specs = [{"layout": "causal", "segment_len": 8}, {"layout": "causal", "segment_len": 4},
                 {"layout": "exact_causal"}]  # fmt: skip
        right = [attention(q, k, v, Spec(**keys)) for keys in specs]
        self.assertFalse(torch.equal(right[0], right[1]))
        for i in (0, 1, 2, 0, 0, 2, 1, 0):
            self.assertTrue(torch.equal(attention(q, k, v, **specs[i]), right[i]))

    def test_outputs_lie_as_q_does(self):
        for tensor in (torch.empty(2, 3, 5, 16), torch.empty(2, 5, 3, 16).transpose(1, 2)):
            o = FORWARD["attention"](*(tensor,) * 3, EXACT)
            self.assertEqual(o.stride(), tensor.stride())
            self.assertEqual(_operators._like(tensor.to("meta"), tensor.dtype).stride(), o.stride())


if __name__ == "__main__":
    unittest.main()
