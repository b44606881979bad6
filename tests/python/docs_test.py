"""What docs/python.md shows runs, line after line, and what it says of shapes is so."""

import re
import unittest

from cases import SOURCE

PAGE = (SOURCE / "docs/python.md").read_text()


class Page(unittest.TestCase):
    def test_its_blocks_run(self):
        blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
        self.assertEqual(len(blocks), 4)
        names = {}
        for block in blocks:
            exec(compile(block, "docs/python.md", "exec"), names)
        self.assertEqual(tuple(names["o"].shape), (1, 12, 1024, 64))
        self.assertEqual(tuple(names["layer"].probes.grad.shape), (12, 4, 64))

    def test_its_message_is_what_is_said(self):
        import torch

        from nysjit.torch import attention

        q = torch.zeros(1, 1, 20, 16)
        with self.assertRaises(RuntimeError) as caught:
            attention(q, q, q[:, :, :7], layout="exact_causal")
        self.assertIn(f"`{caught.exception}`", PAGE)


if __name__ == "__main__":
    unittest.main()
