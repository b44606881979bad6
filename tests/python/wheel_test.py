"""The wheel, as pyproject.toml and scikit-build-core make it, but of what is built already (in
wheel/): its files, its RECORD, its size and symbols; then it alone is installed, and does what
docs/python.md begins with. A wheel's own build is not seen, nor CMake's package in it.
"""

import base64
import csv
import hashlib
import importlib.util
import io
import os
import pathlib
import re
import stat
import subprocess
import sys
import sysconfig
import tempfile
import unittest
import zipfile

from cases import BUILD, SOURCE

for needed in ("scikit_build_core", "pip"):
    if importlib.util.find_spec(needed) is None:
        print(f"skipped: no {needed} to make and install a wheel", flush=True)
        sys.exit(77)

MOST_BYTES = 40e6
BINARIES = {
    "bin/nysjit",
    "lib/libnysjit.so.0",
    "lib/libnysjit_hosts.so",
    "lib/libnysjit_ptx_emulator.so",
    "libexec/nysjit-compiler",
}
FOR_C = {
    "include/nysjit.h",
    "include/nysjit.hpp",
    "include/nysjit/dlpack.h",
    "include/nysjit_calibrate.h",
    "lib/cmake/nysjit/nysjitConfig.cmake",
    "lib/cmake/nysjit/nysjitConfigVersion.cmake",
}
BUILD_WHEEL = """
import sys
from scikit_build_core.build import build_wheel
folder, built = sys.argv[1:]
build_wheel(folder, {"cmake.source-dir": "tests/python/wheel", "build-dir": folder + "/build",
                     "cmake.define.BUILT": built})
"""


def run(*words, **options):
    """What a command prints; it must succeed."""
    done = subprocess.run(
        [str(word) for word in words],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        **options,
    )
    if done.returncode != 0:
        raise AssertionError(f"{words} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def setUpModule():
    """The wheel, what is in it, and a Python into which it alone is installed."""
    global WHEEL, FILES, FOLDER, PYTHON
    temporary = tempfile.TemporaryDirectory()
    unittest.addModuleCleanup(temporary.cleanup)
    FOLDER = pathlib.Path(temporary.name)
    run(sys.executable, "-c", BUILD_WHEEL, FOLDER, BUILD, cwd=SOURCE)
    (WHEEL,) = FOLDER.glob("*.whl")
    with zipfile.ZipFile(WHEEL) as archive:
        FILES = {info.filename: (archive.read(info), info) for info in archive.infolist()}
    run(sys.executable, "-m", "venv", "--without-pip", FOLDER / "clean")
    PYTHON = FOLDER / "clean/bin/python"
    pip = (sys.executable, "-m", "pip", "--python", PYTHON, "--disable-pip-version-check")
    run(*pip, "install", "--no-index", "--no-deps", "--no-compile", WHEEL)


def own(name):
    return name.removeprefix("nysjit/")


class Wheel(unittest.TestCase):
    def test_is_for_every_python(self):
        version = re.search(
            r"project\(nysjit VERSION (\S+)", (SOURCE / "CMakeLists.txt").read_text()
        )[1]
        platform = sysconfig.get_platform().replace("-", "_")
        self.assertEqual(WHEEL.name, f"nysjit-{version}-py3-none-{platform}.whl")

    def test_its_files_are_these(self):
        found = {own(name) for name in FILES if name.startswith("nysjit/")}
        found = {f for f in found if not re.search(r"nysjitConfig-\w+\.cmake$", f)}
        package = SOURCE / "python/nysjit"
        modules = {str(f.relative_to(package)) for f in package.rglob("*.py")}
        self.assertEqual(found, BINARIES | FOR_C | modules | {"py.typed"})
        others = {f.split("/", 1)[1] for f in FILES if not f.startswith("nysjit/")}
        licenses = {"licenses/LICENSE", "licenses/cmake/copyright"}
        self.assertEqual(others, {"METADATA", "WHEEL", "RECORD", "entry_points.txt"} | licenses)

    def test_its_record_is_right(self):
        (record,) = [name for name in FILES if name.endswith(".dist-info/RECORD")]
        rows = {row[0]: row[1:] for row in csv.reader(io.StringIO(FILES[record][0].decode()))}
        self.assertEqual(set(rows), set(FILES))
        for name, (content, _) in FILES.items():
            if name != record:
                digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest())
                right = ["sha256=" + digest.decode().rstrip("="), str(len(content))]
                self.assertEqual(rows[name], right, name)

    def test_it_is_small(self):
        self.assertLessEqual(WHEEL.stat().st_size, MOST_BYTES)

    def test_files_are_what_they_are_built_from(self):
        """Modules are the source's, commands may be run, and nothing is a link."""
        for name, (content, info) in FILES.items():
            mode = info.external_attr >> 16
            self.assertTrue(stat.S_ISREG(mode) or stat.S_IFMT(mode) == 0, name)
            if own(name) in ("bin/nysjit", "libexec/nysjit-compiler"):
                self.assertTrue(mode & stat.S_IXUSR, name)
            if name.endswith(".py"):
                self.assertEqual(content, (SOURCE / "python" / name).read_bytes(), name)

    def test_no_symbol_of_llvm_leaves_it(self):
        for name in BINARIES:
            is_stripped = run("nm", self.installed() / name).endswith("no symbols\n")
            self.assertTrue(is_stripped, name)
            listed = run("nm", "-D", "--defined-only", "-C", self.installed() / name)
            self.assertNotRegex(listed, r"(?i)\b(llvm|mlir|lld)", name)

    def test_it_names_no_folder_of_the_build(self):
        for name, (content, _) in FILES.items():
            for folder in (SOURCE, FOLDER):
                self.assertNotIn(str(folder).encode(), content, name)

    def installed(self):
        (folder,) = FOLDER.glob("clean/lib/python*/site-packages/nysjit")
        return folder


class Installed(unittest.TestCase):
    """Without the source, the build and their variables; PyTorch is this environment's."""

    def setUp(self):
        kept = ("PATH", "HOME", "LANG", "TMPDIR")
        self.environment = {name: os.environ[name] for name in kept if name in os.environ}
        self.environment["NYSJIT_CACHE_DIR"] = str(FOLDER / "cache")
        self.environment["OMP_NUM_THREADS"] = "1"

    def python(self, *words, **more):
        return run(PYTHON, *words, cwd=FOLDER, env={**self.environment, **more})

    def test_compiles_without_anything_else(self):
        code = (
            "import nysjit, sys; "
            "info = nysjit.prepare(nysjit.Spec(layout='exact_causal', head_dim=16)); "
            "print(info['cache'], nysjit.info()['library'], 'torch' in sys.modules)"
        )
        cache, library, has_torch = self.python("-c", code).split()
        self.assertEqual((cache, has_torch), ("compiled", "False"))
        self.assertIn(str(FOLDER), library)

    def test_its_command_runs(self):
        for words in ((FOLDER / "clean/bin/nysjit",), (PYTHON, "-m", "nysjit")):
            listed = run(*words, "devices", "--json", cwd=FOLDER, env=self.environment)
            self.assertIn('"ptx-emulator"', listed)

    def test_the_page_begins_so(self):
        page = (SOURCE / "docs/python.md").read_text()
        block = re.search(r"```python\n(.*?)```", page, re.DOTALL)[1]
        (FOLDER / "quickstart.py").write_text(
            block
            + "\nimport nysjit\nprint(nysjit.__file__, tuple(o.shape), bool(o.isfinite().all()))"
        )
        torch = sysconfig.get_path("purelib")
        printed = self.python("quickstart.py", PYTHONPATH=torch).splitlines()[-1]
        self.assertTrue(printed.startswith(str(FOLDER / "clean")), printed)
        self.assertTrue(printed.endswith(" (1, 12, 1024, 64) True"), printed)


if __name__ == "__main__":
    unittest.main()
