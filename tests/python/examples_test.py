"""Examples that need PyTorch run."""

import re
import subprocess
import sys
import unittest

from cases import SOURCE


class Examples(unittest.TestCase):
    def test_a_tiny_gpt_learns(self):
        words = [sys.executable, SOURCE / "examples/tiny_gpt.py", "--steps", "8"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        for name in ("exact", "causal", "dyadic"):
            first = re.search(rf"^{name}:\n  step    0  loss (\S+)$", done.stdout, re.M)
            last = re.search(rf"^losses: .*\b{name} ([0-9.]+)", done.stdout, re.M)
            self.assertLess(float(last[1]), float(first[1]) - 1, done.stdout)


if __name__ == "__main__":
    unittest.main()
