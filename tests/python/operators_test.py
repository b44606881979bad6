"""Operators as PyTorch's opcheck wants them, and sizes without tensors as the library has them."""

import unittest
import warnings

import torch
from cases import qkv, seeded
from random_test import SPECS, draw

from nysjit import _operators, _sizes
from nysjit._operators import BACKWARD, FORWARD, LENGTHS, SAVING

CAUSAL = '{"head_dim":16,"landmark_source":"learned","landmarks":8,"layout":"causal","probes":2,' \
    '"segment_len":4}'  # fmt: skip


def arguments(name):
    """Of an operator, from q to max_length; with probes."""
    probes = torch.randn(2, 2, 16, requires_grad=True)
    rest = (probes, None, None, None, CAUSAL, 0.3)
    if name == "attention":
        return (*qkv(2, 2, 20, 16), *rest)
    if name == "attention_padded":
        lengths = (
            torch.tensor([20, 7], dtype=torch.int32),
            torch.tensor([0, 3], dtype=torch.int32),
        )
        return (*qkv(2, 2, 20, 16), *lengths, *rest, 20)
    packed = [torch.randn(20, 2, 16, requires_grad=True) for _ in range(3)]
    return (*packed, torch.tensor([0, 9, 20], dtype=torch.int32), *rest, 11)


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
                    torch.library.opcheck(BACKWARD[name], (dout, o, saved, *given, wanted))

    def test_backward_without_what_was_kept_is_the_same(self):
        for name in LENGTHS:
            given = arguments(name)
            with torch.no_grad():
                o, saved = SAVING[name](*given)
                dout = torch.randn(o.shape)
                kept = BACKWARD[name](dout, o, saved, *given, 0b1111)
                anew = BACKWARD[name](dout, o, None, *given, 0b1111)
                other = BACKWARD[name](dout, o, torch.zeros_like(saved), *given, 0b1111)
            for one, same in zip(kept, anew):
                self.assertTrue(torch.equal(one, same), name)
            self.assertFalse(torch.equal(kept[0], other[0]), name)  # what was kept is read

    def test_no_longest_length_is_all_rows(self):
        for name in ("attention_padded", "attention_packed"):
            given = [x.detach() if isinstance(x, torch.Tensor) else x for x in arguments(name)]
            rows = 20
            sizes = [SAVING[name](*given[:-1], most)[1].numel() for most in (0, rows)]
            self.assertEqual(*sizes, name)

    def test_sizes_of_what_is_kept_are_the_librarys(self):
        dice = seeded(self.id())
        for spec in SPECS:
            for kind in ("dense", "padded", "packed"):
                with self.subTest(spec=str(spec), kind=kind):
                    self.compare(spec, draw(spec, dice, kind), kind)

    def compare(self, spec, tensors, kind):
        name = {"dense": "attention"}.get(kind, "attention_" + kind)
        lengths = {"dense": (), "padded": ("seqlens", "seq_starts"), "packed": ("cu_seqlens",)}
        order = ("q", "k", "v", *lengths[kind], "landmark_q", "landmark_k", "conv", "source_len")
        most = () if kind == "dense" else (tensors["q"].shape[-2 if kind == "padded" else 0],)
        given = [tensors.get(part) for part in order]
        _, saved = SAVING[name](*given, str(spec), None, *most)
        shapes = {key: tensor.shape for key, tensor in tensors.items()}
        found = _sizes.saved_bytes(str(spec), "cpu", shapes, most[0] if most else 0, min, max)
        self.assertEqual(found, saved.numel())

    def test_outputs_lie_as_q_does(self):
        for tensor in (torch.empty(2, 3, 5, 16), torch.empty(2, 5, 3, 16).transpose(1, 2)):
            o = FORWARD["attention"](
                *(tensor,) * 3,
                None,
                None,
                None,
                None,
                '{"layout":"exact_causal","head_dim":16}',
                None,
            )
            self.assertEqual(o.stride(), tensor.stride())
            self.assertEqual(_operators._like(tensor.to("meta"), tensor.dtype).stride(), o.stride())


if __name__ == "__main__":
    unittest.main()
