"""Each example runs, and says what it should.

usage: examples_test.py SOURCE_DIR BUILD_DIR
"""

import os
import pathlib
import re
import shutil
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

    def test_training_lowers_the_loss(self):
        losses = [float(line.split()[-1]) for line in self.run_example("train").splitlines()]
        self.assertEqual(len(losses), 6)
        self.assertEqual(losses, sorted(losses, reverse=True))

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

    def test_probes_of_one_text_serve_another(self):
        said = self.run_example("calibrate.py")
        self.assertIn("segment means: yes", said)
        errors = [float(x) for x in re.findall(r"probes, \w+ +(\S+)", said)]
        self.assertEqual(len(errors), 4)
        self.assertLess(max(errors), 0.3)  # 0.25 at most

    def test_the_data_of_both_texts_are_alike(self):
        for file in "qkv":
            texts = [SOURCE / "examples/data" / folder / f"{file}.npy" for folder in ("", "alice")]
            licence, story = (path.read_bytes() for path in texts)
            self.assertEqual(licence[:128], story[:128])  # the header: dtype and shape
            self.assertEqual(len(licence), len(story))
            self.assertNotEqual(licence, story)

    def test_layout_picture_is_an_svg(self):
        picture = self.path / "layout.svg"
        self.run_example("layout_picture", SOURCE / "examples/data", picture)
        root = xml.etree.ElementTree.parse(picture).getroot()
        self.assertTrue(root.tag.endswith("svg"))
        words = " ".join(root.itertext())
        self.assertIn("Exact causal attention", words)
        self.assertIn("landmark", words)


class Readme(unittest.TestCase):
    """Its commands, as they stand there, where examples/, runtime/ and build/ are."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name)
        for name in ("examples", "runtime"):
            (self.path / name).symlink_to(SOURCE / name)
        (self.path / "build").symlink_to(BUILD)

    def blocks(self, word):
        text = (SOURCE / "README.md").read_text()
        blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
        found = [block for block in blocks if word in block]
        self.assertTrue(found, f"no commands with {word}")
        return [block.replace("\\\n", " ") for block in found]

    def run_lines(self, lines):
        environment = {**os.environ, "NYSJIT_CACHE_DIR": str(self.path / "cache")}
        done = subprocess.run(["bash", "-ec", lines], capture_output=True, text=True,
                              env=environment, cwd=self.path)
        self.assertEqual(done.returncode, 0, lines + done.stdout + done.stderr)
        return done.stdout

    def test_tensors_and_the_emulator(self):
        for block in self.blocks("build/bin/nysjit run"):
            # a GPU is not everywhere
            lines = [line for line in block.splitlines() if "--device cuda" not in line]
            self.assertIn("against the float64 reference", self.run_lines("\n".join(lines)))
            self.assertTrue((self.path / "o.npy").exists())

    def test_from_c(self):
        if re.search(r"^NYSJIT_SANITIZE:\w+=.+$", (BUILD / "CMakeCache.txt").read_text(), re.M):
            self.skipTest("skipped, the library of a sanitizer build wants a program of that build")
        if shutil.which("cc") is None:
            self.skipTest("skipped, no cc")
        for block in self.blocks("-lnysjit"):
            self.assertIn("the same to the last bit", self.run_lines(block))

    def test_the_quickstart_builds_what_its_commands_need(self):
        if shutil.which("ninja") is None or not (BUILD / "build.ninja").exists():
            self.skipTest("skipped, not built by ninja")
        script = (SOURCE / "examples/quickstart.sh").read_text()
        targets = re.search(r"nysjit_build ([\w \\\n]+)\n", script).group(1).split()
        commands = subprocess.run(["ninja", "-C", BUILD, "-t", "commands", *targets],
                                  capture_output=True, text=True, check=True).stdout
        made = re.findall(r" -o ((?:bin|lib)/\S+)", commands)
        for needed in ("bin/nysjit", "bin/nysjit-compiler", "lib/libnysjit.so",
                       "lib/libnysjit_ptx_emulator.so"):
            self.assertTrue(any(name.startswith(needed) for name in made), needed)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
