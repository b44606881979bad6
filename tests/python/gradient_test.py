"""Gradients beside differences and SDPA's; which are computed; and that they are not
differentiated.
"""

import unittest

import torch
import torch.nn.functional as F
from cases import qkv, seeded

from nysjit.torch import attention

# Float32: with steps of 1e-2 a difference is off by some 1e-4 of rounding and of third derivatives.
TOLERANCE = {"eps": 1e-2, "atol": 2e-3, "rtol": 1e-2, "check_undefined_grad": False}


def checked(function, inputs):
    import warnings

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*not a double precision.*")
        return torch.autograd.gradcheck(function, inputs, **TOLERANCE)


class Gradients(unittest.TestCase):
    def setUp(self):
        seeded(self.id())

    def test_causal_is_its_differences(self):
        inputs = qkv(1, 2, 10, 16, key_heads=1)
        self.assertTrue(
            checked(lambda q, k, v: attention(q, k, v, layout="causal", segment_len=4), inputs)
        )

    def test_probes_and_taps_are_their_differences(self):
        inputs = [*qkv(1, 2, 10, 16), torch.randn(2, 2, 16), torch.randn(2, 3)]
        keys = {"landmark_source": "learned", "probes": 2, "conv_kernel": 3, "segment_len": 2}

        def run(q, k, v, probes, taps):
            return attention(q, k, v, landmark_q=probes, conv=taps, layout="causal", **keys)

        self.assertTrue(checked(run, [tensor.requires_grad_() for tensor in inputs]))

    def test_learned_landmarks_are_their_differences(self):
        # Apart from each other, so that the matrix among them is far from one without an inverse.
        apart = 3 * torch.eye(16)[:2]
        landmarks = [apart + 0.1 * torch.randn(2, 2, 16) for _ in range(2)]
        inputs = [*qkv(1, 2, 7, 16), *landmarks]
        keys = {"layout": "scan", "landmarks": 2, "landmark_source": "learned"}

        def run(q, k, v, queries, of_keys):
            return attention(q, k, v, landmark_q=queries, landmark_k=of_keys, **keys)

        self.assertTrue(checked(run, [tensor.requires_grad_() for tensor in inputs]))

    def test_exact_is_sdpa(self):
        inputs = qkv(2, 3, 70, 32)
        dout = torch.randn(2, 3, 70, 32)
        found = torch.autograd.grad(attention(*inputs, layout="exact_causal"), inputs, dout)
        right = [tensor.detach().double().requires_grad_() for tensor in inputs]
        o = F.scaled_dot_product_attention(*right, is_causal=True)
        for one, other in zip(found, torch.autograd.grad(o, right, dout.double())):
            self.assertLessEqual((one - other).norm() / other.norm(), 1e-5)

    def test_each_alone_is_the_same_to_the_bit(self):
        q, k, v = qkv(1, 2, 20, 16)
        probes = torch.randn(2, 2, 16, requires_grad=True)
        keys = {"layout": "causal", "segment_len": 4, "landmark_source": "learned", "probes": 2}

        def run():
            return attention(q, k, v, landmark_q=probes, **keys).square().sum()

        every = torch.autograd.grad(run(), (q, k, v, probes))
        for tensor, right in zip((q, k, v, probes), every):
            (alone,) = torch.autograd.grad(run(), tensor)
            self.assertTrue(torch.equal(alone, right))
        with torch.no_grad():
            k, v = k.clone(), v.clone()
        run().backward()
        self.assertIsNone(k.grad)
        self.assertTrue(torch.equal(q.grad, every[0]))

    def test_an_expanded_gradient_of_the_output(self):
        inputs = qkv(1, 2, 20, 16)
        o = attention(*inputs, layout="exact_causal")
        found = torch.autograd.grad(o.sum(), inputs, retain_graph=True)
        for one, other in zip(found, torch.autograd.grad(o, inputs, torch.ones(o.shape))):
            self.assertTrue(torch.equal(one, other))

    def test_a_gradient_of_a_gradient_is_refused(self):
        inputs = qkv(1, 2, 20, 16)
        o = attention(*inputs, layout="exact_causal")
        (first,) = torch.autograd.grad(o.square().sum(), inputs[0], create_graph=True)
        with self.assertRaisesRegex(RuntimeError, "expected to be differentiated once"):
            first.sum().backward()

    def test_forward_mode_is_refused(self):
        inputs = [tensor.detach() for tensor in qkv(1, 2, 20, 16)]
        with self.assertRaisesRegex(RuntimeError, "jvp"):
            torch.func.jvp(
                lambda q: attention(q, *inputs[1:], layout="exact_causal"),
                (inputs[0],),
                (inputs[0],),
            )

    def test_forward_mode_is_refused_without_torch_func(self):
        from torch.autograd import forward_ad

        q, k, v = (tensor.detach() for tensor in qkv(1, 2, 20, 16))
        with forward_ad.dual_level(), self.assertRaisesRegex(RuntimeError, "jvp"):
            attention(forward_ad.make_dual(q, q), k, v, layout="exact_causal")

    def test_deterministic_mode_changes_nothing(self):
        inputs = qkv(1, 2, 50, 16)
        right = attention(*inputs, layout="causal", segment_len=8)
        gradients = torch.autograd.grad(right.square().sum(), inputs)
        torch.use_deterministic_algorithms(True)
        self.addCleanup(torch.use_deterministic_algorithms, False)
        o = attention(*inputs, layout="causal", segment_len=8)
        self.assertTrue(torch.equal(o, right))
        for one, other in zip(torch.autograd.grad(o.square().sum(), inputs), gradients):
            self.assertTrue(torch.equal(one, other))


if __name__ == "__main__":
    unittest.main()
