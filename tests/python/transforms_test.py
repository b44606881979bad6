"""vmap, torch.func's gradients, autocast, checkpointing: as the plain calls that they stand for."""

import unittest

import torch
from cases import qkv, seeded
from torch.utils.checkpoint import checkpoint

from nysjit.torch import attention

KEYS = {"layout": "causal", "segment_len": 8}
LEARNED = {**KEYS, "landmark_source": "learned", "probes": 2}


def run(q, k, v, **more):
    return attention(q, k, v, **(LEARNED if "landmark_q" in more else KEYS), **more)


class Vmap(unittest.TestCase):
    def setUp(self):
        seeded(self.id())

    def test_of_all_three(self):
        q, k, v = (torch.randn(3, 2, 4, 20, 16) for _ in range(3))
        right = torch.stack([run(*parts) for parts in zip(q, k, v)])
        self.assertTrue(torch.equal(torch.vmap(run)(q, k, v), right))
        moved = torch.vmap(run, in_dims=(2, 0, 1), out_dims=1)(q.movedim(0, 2), k, v.movedim(0, 1))
        self.assertTrue(torch.equal(moved, right.movedim(0, 1)))

    def test_is_one_call(self):
        counts = []
        for size in (2, 5):
            q = torch.randn(size, 2, 4, 20, 16)
            with torch.profiler.profile() as profile:
                torch.vmap(run)(q, q, q)
            names = [event.name for event in profile.events()]
            counts.append(names.count("nysjit::attention"))
        self.assertEqual(*counts)

    def test_of_queries_alone(self):
        q = torch.randn(3, 2, 4, 20, 16)
        k, v = (torch.randn(2, 4, 20, 16) for _ in range(2))
        right = torch.stack([run(one, k, v) for one in q])
        self.assertTrue(torch.equal(torch.vmap(run, in_dims=(0, None, None))(q, k, v), right))

    def test_of_lengths(self):
        q, k, v = (torch.randn(3, 2, 4, 20, 16) for _ in range(3))
        seqlens = torch.tensor([[20, 3], [9, 12], [1, 0]], dtype=torch.int32)

        def padded(q, k, v, seqlens):
            return run(q, k, v, seqlens=seqlens)

        right = torch.stack([padded(*parts) for parts in zip(q, k, v, seqlens)])
        self.assertTrue(torch.equal(torch.vmap(padded)(q, k, v, seqlens), right))

    def test_of_probes(self):
        q, k, v = (torch.randn(2, 4, 20, 16) for _ in range(3))
        probes = torch.randn(3, 4, 2, 16)

        def learned(probes):
            return run(q, k, v, landmark_q=probes)

        right = torch.stack([learned(one) for one in probes])
        self.assertTrue(torch.equal(torch.vmap(learned)(probes), right))

    def test_of_packed(self):
        q, k, v = (torch.randn(3, 20, 4, 16) for _ in range(3))
        cu_seqlens = torch.tensor([0, 13, 20], dtype=torch.int32)

        def packed(q, k, v):
            return run(q, k, v, cu_seqlens=cu_seqlens, max_length=13)

        right = torch.stack([packed(*parts) for parts in zip(q, k, v)])
        self.assertTrue(torch.equal(torch.vmap(packed)(q, k, v), right))


class Func(unittest.TestCase):
    def setUp(self):
        seeded(self.id())

    def test_grad_is_autograd(self):
        q, k, v = qkv(2, 2, 20, 16)
        (right,) = torch.autograd.grad(run(q, k, v).square().sum(), q)
        found = torch.func.grad(lambda q: run(q, k.detach(), v.detach()).square().sum())(q.detach())
        self.assertTrue(torch.equal(found, right))

    def test_grads_of_each_sample(self):
        q = torch.randn(3, 2, 20, 16)

        def loss(q):
            return run(*[q.unsqueeze(0)] * 3).square().sum()

        gradient = torch.func.grad(loss)
        right = torch.stack([gradient(one) for one in q])
        self.assertTrue(torch.equal(torch.vmap(gradient)(q), right))


class Autocast(unittest.TestCase):
    def test_casts_all_and_gives_gradients_their_dtypes(self):
        seeded(self.id())
        q, k, v = qkv(2, 2, 20, 16)
        probes = torch.randn(2, 2, 16, requires_grad=True)
        for dtype in (torch.bfloat16, torch.float16):
            with torch.autocast("cpu", dtype):
                found = run(q, k, v.detach().to(dtype), landmark_q=probes)
            self.assertEqual(found.dtype, dtype)
            right = run(*(x.to(dtype) for x in (q, k, v)), landmark_q=probes.to(dtype))
            self.assertTrue(torch.equal(found, right))
            for gradient in torch.autograd.grad(found.float().sum(), (q, probes)):
                self.assertEqual(gradient.dtype, torch.float32)


class Checkpoint(unittest.TestCase):
    def test_of_both_kinds(self):
        seeded(self.id())
        inputs = qkv(2, 2, 20, 16)
        right = torch.autograd.grad(run(*inputs).square().sum(), inputs)
        for reentrant in (False, True):
            for tensor in inputs:
                tensor.grad = None
            o = checkpoint(run, *inputs, use_reentrant=reentrant)
            o.square().sum().backward()
            for tensor, gradient in zip(inputs, right):
                self.assertTrue(torch.equal(tensor.grad, gradient))


if __name__ == "__main__":
    unittest.main()
