"""torch.compile, in one graph: inference, training, sizes that change, views of a fused projection,
lengths, autocast, checkpointing; the same bits as in eager code.
"""

import unittest

import torch
from cases import seeded
from torch.utils.checkpoint import checkpoint

from nysjit.torch import attention

KEYS = {"layout": "causal", "segment_len": 8}


class Block(torch.nn.Module):
    def __init__(self, **keys):
        super().__init__()
        self.qkv = torch.nn.Linear(64, 192)
        self.out = torch.nn.Linear(64, 64)
        self.probes = torch.nn.Parameter(torch.randn(4, 2, 16))
        self.keys = keys

    def forward(self, x, **lengths):
        batch, rows, _ = x.shape
        q, k, v = self.qkv(x).view(batch, rows, 3, 4, 16).permute(2, 0, 3, 1, 4)
        probes = self.probes if "probes" in self.keys else None
        o = attention(q, k, v, landmark_q=probes, **lengths, **self.keys)
        return self.out(o.transpose(1, 2).flatten(2))


class Compile(unittest.TestCase):
    def setUp(self):
        seeded(self.id())
        torch._dynamo.reset()

    def same(self, block, compiled, *inputs, tolerance=2e-6, parameters=None, **lengths):
        """Outputs and all gradients; linear layers may round otherwise."""
        results = []
        parameters = list((parameters or block).parameters())
        for function in (block, compiled):
            for parameter in parameters:
                parameter.grad = None
            o = function(*inputs, **lengths)
            o.float().square().mean().backward()
            gradients = [p.grad.clone() for p in parameters if p.grad is not None]
            results.append([o.detach(), *gradients])
        self.assertEqual(*map(len, results))
        for one, other in zip(*results):
            self.assertEqual(one.dtype, other.dtype)
            self.assertTrue(torch.allclose(one, other, rtol=1e-4, atol=tolerance))

    def test_training_with_probes(self):
        block = Block(**KEYS, landmark_source="learned", probes=2)
        self.same(block, torch.compile(block, fullgraph=True), torch.randn(2, 30, 64))
        self.assertIsNotNone(block.probes.grad)

    def test_a_spec_is_first_seen_by_the_compiler(self):
        q, k, v = torch.randn(3, 2, 4, 30, 16)

        def run(q, k, v):
            return attention(q, k, v, layout="causal", segment_len=10, stabilizer=0.5)

        found = torch.compile(run, backend="aot_eager", fullgraph=True)(q, k, v)
        self.assertTrue(torch.equal(found, run(q, k, v)))

    def test_inference(self):
        block = Block(**KEYS)
        compiled = torch.compile(block, fullgraph=True)
        x = torch.randn(2, 30, 64)
        with torch.no_grad():
            self.assertTrue(torch.allclose(compiled(x), block(x), rtol=1e-4, atol=2e-6))

    def test_sizes_that_change_compile_once(self):
        counter = torch._dynamo.testing.CompileCounterWithBackend("aot_eager")
        block = Block(**KEYS)
        compiled = torch.compile(block, backend=counter, fullgraph=True, dynamic=True)
        for batch, rows in ((2, 30), (3, 51), (4, 9)):
            self.same(block, compiled, torch.randn(batch, rows, 64))
        self.assertEqual(counter.frame_count, 1)

    def test_one_tensor_for_several(self):
        for places in ((0, 0, 0), (0, 1, 1), (0, 1, 0)):

            def run(*given, places=places):
                return attention(*[given[place] for place in places], **KEYS)

            given = [torch.randn(2, 4, 30, 16, requires_grad=True) for _ in range(2)]
            compiled = torch.compile(run, backend="aot_eager", fullgraph=True)
            asked = given[: 1 + max(places)]
            found, right = (
                torch.autograd.grad(function(*given).square().sum(), asked)
                for function in (compiled, run)
            )
            for one, other in zip(found, right):
                self.assertTrue(torch.allclose(one, other, rtol=1e-5, atol=1e-6))

    def test_padded(self):
        block = Block(**KEYS)
        compiled = torch.compile(block, backend="aot_eager", fullgraph=True)
        lengths = torch.tensor([30, 12])
        self.same(block, compiled, torch.randn(2, 30, 64), seqlens=lengths)

    def test_packed(self):
        def run(x, cu_seqlens):
            q, k, v = x.unflatten(-1, (3, 2, 16)).unbind(1)
            return attention(q, k, v, cu_seqlens=cu_seqlens, **KEYS)

        x = torch.randn(40, 96, requires_grad=True)
        cu_seqlens = torch.tensor([0, 11, 40])
        found = torch.compile(run, backend="aot_eager", fullgraph=True)(x, cu_seqlens)
        right = run(x, cu_seqlens)
        self.assertTrue(torch.equal(found, right))
        gradients = [torch.autograd.grad(o.square().sum(), x)[0] for o in (found, right)]
        self.assertTrue(torch.equal(*gradients))

    def test_autocast(self):
        block = Block(**KEYS)

        def run(x):
            with torch.autocast("cpu", torch.bfloat16):
                return block(x)

        compiled = torch.compile(run, backend="aot_eager", fullgraph=True)
        self.same(run, compiled, torch.randn(2, 30, 64), tolerance=0, parameters=block)
        self.assertEqual(compiled(torch.ones(2, 30, 64)).dtype, torch.bfloat16)

    def test_checkpoint(self):
        # Compiled first: what a spec's first call remembers, a checkpointed graph may not.
        block = Block(layout="causal", segment_len=11)

        def run(x):
            return checkpoint(block, x, use_reentrant=False)

        compiled = torch.compile(run, backend="aot_eager", fullgraph=True)
        x = torch.randn(2, 30, 64)
        self.same(compiled, block, x, parameters=block)
        self.same(block, run, x, tolerance=0)


if __name__ == "__main__":
    unittest.main()
