"""A bundle runs in a root that holds libc and the runtime alone, and nothing of LLVM is mapped.

usage: bundle_test.py BUILD_DIR
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

from bare_root import LIBC, BareRoot, missing

BUILD = pathlib.Path(sys.argv[1]).resolve()
SPECS = BUILD.parent / "examples/bundled.json"


class Bundle(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = pathlib.Path(self.folder.name)
        self.bundle = self.path / "programs"
        environment = {**os.environ, "NYSJIT_CACHE_DIR": str(self.path / "cache")}
        subprocess.run([BUILD / "bin/nysjit", "bundle", SPECS, "-o", self.bundle, "--target",
                        "cpu:x86-64-v3,cpu:x86-64-v4"], env=environment, check=True,
                       stdout=subprocess.DEVNULL)

    def test_a_bundle_runs_with_libc_and_the_runtime_alone(self):
        if why := missing():
            self.skipTest(why)
        root = BareRoot(self.path / "root", LIBC)
        shutil.copy(BUILD / "bin/bundled", root.path)
        shutil.copy(self.bundle, root.path / "programs")
        shutil.copy(BUILD / "lib/libnysjit.so.0", root.path / "lib/x86_64-linux-gnu")
        status, words = root.run("/bundled", "/programs")
        self.assertEqual(status, 0, words)
        self.assertIn("from a bundle: each position has the mean of its past", words)
        status, words = root.run("/bundled", "/none")
        self.assertEqual((status, "No such file" in words), (1, True), words)

    def test_nothing_of_llvm_is_mapped(self):
        trace = {**os.environ, "LD_DEBUG": "files", "LD_DEBUG_OUTPUT": str(self.path / "trace")}
        subprocess.run([BUILD / "bin/bundled", self.bundle], env=trace, check=True,
                       stdout=subprocess.DEVNULL)
        loaded = [line for file in self.path.glob("trace.*")
                  for line in file.read_text().splitlines() if "calling init" in line]
        self.assertTrue(any("libnysjit.so.0" in line for line in loaded), loaded)
        self.assertFalse([line for line in loaded if "LLVM" in line or "MLIR" in line])


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], "-v"])
