"""Golden cases, computed in float64 elsewhere, through PyTorch: outputs and gradients. All in
float32, and some in 16 bits; NYSJIT_TEST_ALL=1: all in every dtype (three minutes).
"""

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
    golden_bounds,
    golden_in_16_bits,
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
                bound, limit = golden_bounds(name)
                self.assertLessEqual(distance(o, tensors["o"]), bound)
                for key, found in gradients.items():
                    if "d" + key not in tensors:
                        continue
                    error = gradient_distance(found, tensors["d" + key], tensors["dout"])
                    self.assertLessEqual(error, limit, key)

    def test_16_bits_are_near_float32_on_the_same_numbers(self):
        for name, dtype in golden_in_16_bits():
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
            self.assertTrue(found.isfinite().all(), key)
            if "d" + key not in tensors:  # of large scores none are asked for
                continue
            error = gradient_distance(found, given[key].grad, rounded["dout"])
            self.assertLessEqual(error, GRADIENT_BOUND[dtype], key)


if __name__ == "__main__":
    unittest.main()
