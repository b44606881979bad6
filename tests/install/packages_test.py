"""The Debian packages that cpack makes: their files, what they ask for, and that they run where
there is only what they ask for.

usage: packages_test.py SOURCE_DIR BUILD_DIR VERSION
"""

import pathlib
import re
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import bare_root
from commands import run, skip

SOURCE, BUILD = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
VERSION = sys.argv[3]


def setUpModule():
    global FOLDER, PACKAGES
    for tool in ("cpack", "dpkg-deb", "dpkg-shlibdeps"):
        if shutil.which(tool) is None:
            skip("Debian packages", f"no {tool}")
    temporary = tempfile.TemporaryDirectory()
    unittest.addModuleCleanup(temporary.cleanup)
    FOLDER = pathlib.Path(temporary.name)
    run("cpack", "--config", BUILD / "CPackConfig.cmake", "-B", FOLDER / "packages")
    PACKAGES = {f.name.split("_")[0]: f for f in (FOLDER / "packages").glob("*.deb")}


class Packages(unittest.TestCase):
    def field(self, package, name):
        return run("dpkg-deb", "--field", PACKAGES[package], name).strip()

    def test_are_three(self):
        self.assertEqual(set(PACKAGES), {"nysjit-runtime", "nysjit-compiler", "nysjit-dev"})
        for package, file in PACKAGES.items():
            self.assertRegex(file.name, rf"^{package}_{re.escape(VERSION)}_[a-z0-9]+\.deb$")
            self.assertIn(f"./usr/share/doc/{package}/copyright", run("dpkg-deb", "-c", file))

    def test_ask_for_what_they_need(self):
        compiler = re.sub(r" \([^)]*\)", "", self.field("nysjit-compiler", "Depends"))
        self.assertEqual(compiler, "libc6")
        runtime = re.sub(r" \([^)]*\)", "", self.field("nysjit-runtime", "Depends"))
        self.assertEqual(runtime, "libc6, libgcc-s1, libstdc++6")
        self.assertEqual(self.field("nysjit-dev", "Depends"), f"nysjit-runtime (= {VERSION})")

    def test_the_runtime_refuses_another_versions_compiler(self):
        self.assertEqual(self.field("nysjit-runtime", "Breaks"),
                         f"nysjit-compiler (<< {VERSION}), nysjit-compiler (>> {VERSION})")

    def test_the_runtime_says_which_package_its_library_is_in(self):
        shlibs = run("dpkg-deb", "--info", PACKAGES["nysjit-runtime"], "shlibs")
        self.assertIn("libnysjit 0 nysjit-runtime", shlibs)

    def test_no_file_is_in_two(self):
        seen = {}
        for package, file in PACKAGES.items():
            listing = run("dpkg-deb", "-c", file).splitlines()
            for name in (line.split()[5] for line in listing if not line.startswith("d")):
                self.assertNotIn(name, seen, package)
                seen[name] = package
                self.assertFalse(name.startswith("./usr/include/dlpack"), "libdlpack-dev's")


class Unpacked(unittest.TestCase):
    """In a root with libc and libstdc++ alone: dpkg-deb -x, no maintainer's script."""

    def setUp(self):
        if why := bare_root.missing():
            skip("Debian packages in a bare root", why)
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.root = bare_root.BareRoot(pathlib.Path(temporary.name) / "root")
        shutil.copytree(SOURCE / "examples/data", self.root.path / "data")
        shutil.copy(SOURCE / "examples/causal.json", self.root.path)

    def run_example(self):
        return self.root.run("nysjit", "run", "causal.json", "--q", "data/q.npy", "--k",
                             "data/k.npy", "--v", "data/v.npy", "-o", "o.npy", "--check")

    def test_runtime_and_compiler_run(self):
        for package in ("nysjit-runtime", "nysjit-compiler"):
            run("dpkg-deb", "-x", PACKAGES[package], self.root.path)
        status, said = self.run_example()
        self.assertEqual(status, 0, said)
        self.assertIn("against the float64 reference", said)

    def test_the_runtime_alone_says_that_it_has_no_compiler_but_runs_what_is_cached(self):
        for package in ("nysjit-runtime", "nysjit-compiler"):
            run("dpkg-deb", "-x", PACKAGES[package], self.root.path)
        self.assertEqual(self.run_example()[0], 0)
        (self.root.path / "usr/libexec/nysjit-compiler").unlink()
        status, said = self.run_example()
        self.assertEqual(status, 0, said)
        shutil.rmtree(self.root.path / "home/.cache")
        status, said = self.run_example()
        self.assertEqual(status, 1, said)
        self.assertIn("expected the executable nysjit-compiler", said)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[4:], verbosity=2)
