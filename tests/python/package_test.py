"""The package itself: what importing it loads, what it says of itself, its command, specs, and that
C can be built against it.
"""

import ctypes
import json
import pathlib
import pickle
import re
import subprocess
import sys
import tempfile
import unittest

from cases import BUILD, SOURCE

import nysjit
from nysjit import _library

sys.path.insert(0, str(SOURCE / "bench"))
import c_header


def python(*words):
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, check=False, timeout=300
    )
    return done.returncode, done.stdout + done.stderr


class Package(unittest.TestCase):
    def test_imports_no_framework(self):
        code = (
            "import nysjit, sys; nysjit.prepare(nysjit.Spec(layout='exact_causal', head_dim=16)); "
            "nysjit.info(); print([m for m in ('torch', 'jax', 'numpy') if m in sys.modules])"
        )
        self.assertEqual(python("-c", code), (0, "[]\n"))

    def test_its_version_is_the_projects(self):
        version = re.search(
            r"project\(nysjit VERSION (\S+)", (SOURCE / "CMakeLists.txt").read_text()
        )
        self.assertEqual(nysjit.__version__, version[1])
        self.assertEqual(nysjit.info()["version"], version[1])
        self.assertEqual(nysjit.info()["abi_version"], 1)

    def test_is_what_was_installed(self):
        self.assertEqual(pathlib.Path(nysjit.__file__).parent, BUILD / "python-site/nysjit")

    def test_the_command_is_its_own(self):
        self.assertEqual(python("-m", "nysjit", "devices")[0], 0)
        status, words = python("-m", "nysjit", "run")
        self.assertEqual(status, 2, words)

    def test_devices_are_the_commands(self):
        names = [device["name"] for device in nysjit.devices()]
        self.assertEqual(names, ["cpu", "cuda", "ptx-emulator"])

    def test_prepare_says_what_a_program_is(self):
        spec = nysjit.Spec(layout="causal", head_dim=16, segment_len=4)
        info = nysjit.prepare(spec, gradients=True)
        self.assertEqual(info["spec"]["landmarks"], 1024)
        self.assertEqual(info["plan"]["program"], "causal")
        self.assertRegex(info["key"], "^[0-9a-f]{32}$")
        self.assertEqual(nysjit.prepare(spec)["cache"], "memory")

    def test_a_host_in_c_is_built_against_it(self):
        with tempfile.TemporaryDirectory() as folder:
            flags = ["-I", nysjit.include_dir(), nysjit.info()["library"], "-lm", "-o"]
            subprocess.run(
                ["cc", SOURCE / "examples/train.c", *flags, folder + "/train"], check=True
            )
        self.assertTrue((pathlib.Path(nysjit.cmake_dir()) / "nysjitConfig.cmake").exists())


class Specs(unittest.TestCase):
    def test_are_values(self):
        one = nysjit.Spec(layout="causal", segment_len=8)
        other = nysjit.Spec(segment_len=8, layout="causal")
        self.assertEqual(one, other)
        self.assertEqual(len({one, other}), 1)
        self.assertEqual(pickle.loads(pickle.dumps(one)), one)
        self.assertNotEqual(one, one.replace(segment_len=9))
        self.assertEqual(nysjit.Spec.from_json(str(one)), one)
        self.assertEqual(json.loads(one.json(16, "float16")),
                         {"layout": "causal", "segment_len": 8, "landmarks": 1024,
                          "head_dim": 16, "dtype": "float16"})  # fmt: skip

    def test_landmarks_are_as_many_as_there_may_be(self):
        for keys in (
            {"layout": "causal"},
            {"layout": "segment_causal"},
            {"layout": "bidirectional"},
            {"layout": "prefix_lm"},
            {"layout": "causal", "landmark_source": "learned", "probes": 2,
             "landmark_spacing": "dyadic"},
        ):  # fmt: skip
            spec = nysjit.Spec(head_dim=16, segment_len=16, **keys)
            nysjit.prepare(spec)
            with self.assertRaisesRegex(nysjit.Error, "^landmarks: "):
                nysjit.prepare(spec.replace(landmarks=spec.get("landmarks") + 1))
        self.assertIsNone(nysjit.Spec(layout="scan", head_dim=16).get("landmarks"))


class Structures(unittest.TestCase):
    """Of ctypes: members and places as the headers have them."""

    def test_are_the_headers(self):
        structs = c_header.structs((SOURCE / "runtime/include/nysjit.h").read_text())
        for name, structure in (
            ("nysjit_context_options", _library.ContextOptions),
            ("nysjit_program_info", _library.ProgramInfo),
            ("nysjit_run_args", _library.RunArgs),
        ):
            right = structs[name]._fields_
            self.assertLessEqual(len(structure._fields_), len(right))
            for (own, kind), (member, of_header) in zip(structure._fields_, right):
                self.assertEqual(own, member, name)
                self.assertEqual(ctypes.sizeof(kind), ctypes.sizeof(of_header), f"{name}.{own}")


if __name__ == "__main__":
    unittest.main()
