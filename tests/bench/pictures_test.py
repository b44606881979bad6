"""Pictures of `nysjit bench --svg` and `tune --svg`, read by an XML parser.

usage: pictures_test.py BUILD_DIR
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

BUILD = pathlib.Path(sys.argv[1]).resolve()
SVG = "{http://www.w3.org/2000/svg}"


class Pictures(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.folder = pathlib.Path(holder.name)
        self.spec = "a <b> & 'c'.json"
        (self.folder / self.spec).write_text('{"layout": "exact_causal", "head_dim": 16}')

    def nysjit(self, *words):
        environment = os.environ | {
            "NYSJIT_CACHE_DIR": str(self.folder / "cache"),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "NYSJIT_TUNE_LOCK": f"pictures-{os.getpid()}",
        }
        done = subprocess.run(
            [BUILD / "bin/nysjit", *words],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def read(self, name):
        root = xml.etree.ElementTree.parse(self.folder / name).getroot()
        self.assertEqual(root.tag, SVG + "svg")
        width, height = float(root.get("width")), float(root.get("height"))
        for element in root.iter():
            for x, y in ("x", "y"), ("cx", "cy"):
                if element.get(x) is not None:
                    self.assertTrue(0 <= float(element.get(x)) <= width, element.attrib)
                    self.assertTrue(0 <= float(element.get(y)) <= height, element.attrib)
        return root, [element.text for element in root.iter(SVG + "text")]

    def test_bench(self):
        (self.folder / "other.json").write_text("{}")
        self.nysjit(
            "bench", self.spec, "--vs", "other.json", "--sizes", "16,32", "--svg", "b.svg", "--json"
        )
        root, texts = self.read("b.svg")
        self.assertTrue(any(text.startswith(self.spec) for text in texts), texts)
        self.assertTrue(any(text.startswith("other.json") for text in texts), texts)
        self.assertIn("16", texts)
        self.assertEqual(len(list(root.iter(SVG + "polygon"))), 2)

    def test_tune(self):
        (self.folder / "t.json").write_text(
            json.dumps(
                {
                    "specs": [self.spec],
                    "shapes": [{"length": 12}],
                    "parameters": {"exact_causal": {"block_m": [16, 32], "block_n": [16]}},
                    "measure": {"rounds": 4, "pairs": 10},
                }
            )
        )
        self.nysjit("tune", "t.json", "--svg", "t.svg", "--quiet")
        _, texts = self.read("t.svg")
        self.assertIn("exact_causal", texts)
        self.assertIn("1.000", texts)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[2:], verbosity=2)
