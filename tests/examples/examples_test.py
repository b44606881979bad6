"""Each example runs, and says what it should.

usage: examples_test.py SOURCE_DIR BUILD_DIR
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

SOURCE, BUILD = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])


class Examples(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = pathlib.Path(self.folder.name)

    def run_example(self, *command):
        environment = {**os.environ, "NYSJIT_CACHE_DIR": str(self.path / "cache")}
        done = subprocess.run([BUILD / "bin" / command[0], *command[1:]], capture_output=True, text=True, env=environment)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_attention_compiles_once_and_leaks_nothing(self):
        self.assertIn("cpu:native: compiled in", self.run_example("attention"))
        again = self.run_example("attention")
        self.assertIn("cpu:native: found in the cache", again)
        self.assertIn("the same to the last bit", again)

    def test_layout_picture_is_an_svg(self):
        picture = self.path / "layout.svg"
        self.run_example("layout_picture", SOURCE / "examples/data", picture)
        root = xml.etree.ElementTree.parse(picture).getroot()
        self.assertTrue(root.tag.endswith("svg"))
        words = " ".join(root.itertext())
        self.assertIn("Exact causal attention", words)
        self.assertIn("landmark", words)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
