"""torch.export, and AOTInductor's package of it: the same outputs, also of another length."""

import pathlib
import tempfile
import unittest

import torch
from cases import seeded

from nysjit.torch import attention


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv = torch.nn.Linear(32, 96)
        self.probes = torch.nn.Parameter(torch.randn(2, 2, 16))

    def forward(self, x):
        q, k, v = self.qkv(x).unflatten(-1, (3, 2, 16)).permute(2, 0, 3, 1, 4)
        return attention(
            q,
            k,
            v,
            landmark_q=self.probes,
            layout="causal",
            segment_len=8,
            landmark_source="learned",
            probes=2,
            scale=0.3,
        )


class Export(unittest.TestCase):
    def test_a_package_of_aotinductor_runs(self):
        seeded(self.id())
        block = Block().eval()
        x = torch.randn(2, 30, 32)
        rows = torch.export.Dim("rows", min=2, max=512)
        with torch.no_grad():
            program = torch.export.export(block, (x,), dynamic_shapes={"x": {1: rows}})
            named = [str(node.target) for node in program.graph.nodes]
            self.assertIn("nysjit.attention_with_parameters.default", named)
            longer = torch.randn(2, 77, 32)
            self.assertTrue(torch.equal(program.module()(longer), block(longer)))
            with tempfile.TemporaryDirectory() as folder:
                path = str(pathlib.Path(folder) / "block.pt2")
                torch._inductor.aoti_compile_and_package(program, package_path=path)
                loaded = torch._inductor.aoti_load_package(path)
                for given in (x, longer):
                    self.assertTrue(torch.allclose(loaded(given), block(given), atol=1e-6))


if __name__ == "__main__":
    unittest.main()
