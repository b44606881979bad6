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
        line = [BUILD / "bin" / command[0], *command[1:]]
        if command[0].endswith(".py"):
            line = [sys.executable, SOURCE / "examples" / command[0], BUILD / "bin/nysjit"]
        done = subprocess.run(line, capture_output=True, text=True, env=environment)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def test_attention_compiles_once_and_leaks_nothing(self):
        self.assertIn("cpu:native: compiled in", self.run_example("attention"))
        again = self.run_example("attention")
        self.assertIn("cpu:native: found in the cache", again)
        self.assertIn("the same to the last bit", again)

    def test_padded_batch_is_each_sequence_alone(self):
        self.assertIn("each as if alone, to the last bit", self.run_example("padded_batch"))

    def test_encoder_knows_no_direction(self):
        self.assertRegex(self.run_example("encoder.py"), "reversed output .*: yes")

    def test_prefix_sees_its_source_and_its_past(self):
        self.assertIn("to the last bit: yes", self.run_example("prefix.py"))

    def test_streaming_does_not_know_what_follows(self):
        self.assertIn("to the last bit: yes", self.run_example("streaming.py"))

    def test_first_tokens_do_not_know_what_follows(self):
        self.assertIn("to the last bit: yes", self.run_example("first_tokens.py"))

    def test_three_masks_leak_within_a_segment(self):
        self.assertIn("none before: yes", self.run_example("three_masks.py"))

    def test_packed_sequences_are_each_alone(self):
        self.assertIn("to the last bit: yes", self.run_example("packed.py"))

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
