"""Golden cases, computed in float64 elsewhere, through PyTorch: outputs and gradients."""

import unittest

import torch
from cases import (
    BOUND,
    DTYPES,
    GRADIENT_BOUND,
    INPUTS,
    arguments,
    distance,
    golden,
    golden_names,
    gradient_distance,
)

from nysjit.torch import attention


def run(name, dtype):
    """(o, {name: gradient}, the golden tensors) of a case whose inputs are rounded to a dtype."""
    spec, scale, tensors = golden(name)
    given = arguments(tensors, DTYPES[dtype])
    o = attention(**given, spec=spec.replace(dtype=dtype), scale=scale)
    o.backward(tensors["dout"].to(o.dtype))
    return o.detach(), {key: given[key].grad for key in INPUTS if key in given}, tensors


class Golden(unittest.TestCase):
    def test_all_are_here(self):
        self.assertEqual(len(golden_names()), 62)

    def test_outputs_and_gradients_in_float32(self):
        for name in golden_names():
            with self.subTest(name):
                o, gradients, tensors = run(name, "float32")
                # scores up to 1e4 there
                bound = 1e-4 if name.endswith("huge-scores") else BOUND["float32"]
                self.assertLessEqual(distance(o, tensors["o"]), bound)
                for key, found in gradients.items():
                    if "d" + key not in tensors:
                        continue
                    error = gradient_distance(found, tensors["d" + key], tensors["dout"])
                    limit = 10 * bound if name.endswith("huge-scores") else bound
                    self.assertLessEqual(error, limit, key)

    def test_16_bits_are_near_float32_on_the_same_numbers(self):
        # Some, for each is three programs to compile; where scores are huge a rounded input is
        # another case.
        names = [name for name in golden_names() if not name.endswith("huge-scores")]
        for i, name in enumerate(names[1::4]):
            dtype = ("float16", "bfloat16")[i % 2]
            with self.subTest(name, dtype=dtype):
                self.compare(name, dtype)

    def compare(self, name, dtype):
        o, gradients, tensors = run(name, dtype)
        spec, scale, _ = golden(name)
        rounded = {
            k: t.to(DTYPES[dtype]).float() if t.is_floating_point() else t
            for k, t in tensors.items()
        }
        given = arguments(rounded, torch.float32)
        right = attention(**given, spec=spec, scale=scale)
        right.backward(rounded["dout"])
        self.assertLessEqual(distance(o, right.detach()), BOUND[dtype])
        for key, found in gradients.items():
            self.assertEqual(found.dtype, DTYPES[dtype])
            error = gradient_distance(found, given[key].grad, rounded["dout"])
            self.assertLessEqual(error, GRADIENT_BOUND[dtype], key)


if __name__ == "__main__":
    unittest.main()
