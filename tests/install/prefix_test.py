"""What cmake --install leaves, moved elsewhere: its files, symbols and packages for CMake and
pkg-config; hosts in C and C++ that are built with it alone and run, also in a bare root.

usage: prefix_test.py SOURCE_DIR BUILD_DIR LIBDIR VERSION
"""

import os
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
LIBDIR, VERSION = sys.argv[3:5]
EMULATED = """#include <nysjit.h>
#include <stdio.h>
#include <unistd.h>
int main(int count, char **folder) {
  if (count > 1 && chdir(folder[1]))
    return 1;
  nysjit_context_options options = {.size = sizeof options, .device = "ptx-emulator"};
  nysjit_context *context = NULL;
  nysjit_program *program = NULL;
  if (nysjit_context_create(&options, &context) ||
      nysjit_prepare(context, "{\\"layout\\":\\"exact_causal\\",\\"head_dim\\":32}", NULL, NULL,
                     &program)) {
    puts(nysjit_last_error());
    return 1;
  }
  puts("emulated");
  return 0;
}
"""


def install(prefix, *options):
    run("cmake", "--install", BUILD, "--prefix", prefix, "--strip", *options)


def files(folder):
    return {str(f.relative_to(folder)) for f in folder.rglob("*") if not f.is_dir()}


def setUpModule():
    """One prefix for all tests, moved away from where it was installed, and hosts built with it."""
    global FOLDER, PREFIX, ENVIRONMENT, EXAMPLES
    temporary = tempfile.TemporaryDirectory()
    unittest.addModuleCleanup(temporary.cleanup)
    FOLDER = pathlib.Path(temporary.name)
    install(FOLDER / "installed")
    PREFIX = FOLDER / "moved"
    (FOLDER / "installed").rename(PREFIX)
    (FOLDER / "home").mkdir()
    ENVIRONMENT = {"HOME": str(FOLDER / "home"), "PATH": "/usr/bin:/bin",
                   "PKG_CONFIG_PATH": str(PREFIX / LIBDIR / "pkgconfig"), "NYSJIT_PTXAS": "none"}
    EXAMPLES = by_find_package(SOURCE / "examples")


def with_pkg_config(compiler, text, suffix):
    """A host built of this text with what pkg-config says; the program's path."""
    if shutil.which("pkg-config") is None:
        skip("an installed prefix by pkg-config", "no pkg-config")
    folder = pathlib.Path(tempfile.mkdtemp(dir=FOLDER))
    source = folder / ("host" + suffix)
    source.write_text(text)
    flags = run("pkg-config", "--cflags", "--libs", "nysjit", env=ENVIRONMENT).split()
    run(*compiler, "-Wall", "-Wextra", "-pedantic", "-Werror", source, "-o", folder / "host",
        *flags, "-lm")
    return folder / "host"


def by_find_package(source):
    """The folder in which a CMake project was built against the prefix."""
    built = pathlib.Path(tempfile.mkdtemp(dir=FOLDER))
    run("cmake", "-S", source, "-B", built, f"-DCMAKE_PREFIX_PATH={PREFIX}",
        env={**os.environ, "CC": "cc", "CXX": "c++"})
    run("cmake", "--build", built, "--parallel", "2")
    return built


class Files(unittest.TestCase):
    expected = {
        "runtime": {"bin/nysjit", "LIB/libnysjit.so.0", f"LIB/libnysjit.so.{VERSION}",
                    "LIB/libnysjit_ptx_emulator.so"},
        "compiler": {"libexec/nysjit-compiler"},
        "dev": {"include/nysjit.h", "include/nysjit_calibrate.h", "include/nysjit.hpp",
                "include/nysjit/dlpack.h", "LIB/libnysjit.so",
                "LIB/cmake/nysjit/nysjitConfig.cmake",
                "LIB/cmake/nysjit/nysjitConfigVersion.cmake", "LIB/pkgconfig/nysjit.pc"},
    }

    def test_components_are_these(self):
        for component, names in self.expected.items():
            folder = FOLDER / component
            install(folder, "--component", component)
            documents = {f"share/doc/nysjit-{component}/{f}" for f in ("LICENSE", "copyright")}
            found = {f for f in files(folder) if not re.search(r"nysjitConfig-\w+\.cmake$", f)}
            self.assertEqual(found, {n.replace("LIB", LIBDIR) for n in names} | documents)

    def test_none_names_a_folder_of_the_build(self):
        for file in PREFIX.rglob("*"):
            if file.is_file():
                content = file.read_bytes()
                for folder in (SOURCE, FOLDER):
                    self.assertNotIn(str(folder).encode(), content, file)

    def test_no_binary_has_a_runpath(self):
        for name in ("bin/nysjit", "libexec/nysjit-compiler", f"{LIBDIR}/libnysjit.so",
                     f"{LIBDIR}/libnysjit_ptx_emulator.so"):
            self.assertNotRegex(run("readelf", "-d", PREFIX / name), "RPATH|RUNPATH", name)


class Libraries(unittest.TestCase):
    def symbols(self, name):
        listed = run("nm", "-D", "--defined-only", PREFIX / LIBDIR / name)
        return {line.split()[-1].split("@")[0] for line in listed.splitlines() if " A " not in line}

    def test_libnysjit_shows_the_c_api_and_nothing_else(self):
        headers = "".join(f.read_text() for f in (PREFIX / "include").glob("*.h"))
        declared = set(re.findall(r"NYSJIT_EXPORT [^;(]*?\b(nysjit_\w+)\(", headers))
        self.assertGreaterEqual(len(declared), 10)
        self.assertEqual(self.symbols("libnysjit.so"), declared)

    def test_the_emulator_shows_a_drivers_calls_and_nothing_else(self):
        symbols = self.symbols("libnysjit_ptx_emulator.so")
        self.assertIn("cuLaunchKernel", symbols)
        for symbol in symbols:
            self.assertRegex(symbol, r"^(cu[A-Z]\w+|nysjit_emulator_\w+)$")

    def test_libnysjit_has_name_and_version(self):
        self.assertIn("soname: [libnysjit.so.0]", run("readelf", "-d", PREFIX / LIBDIR /
                                                      "libnysjit.so"))
        self.assertEqual((PREFIX / LIBDIR / "libnysjit.so").resolve().name,
                         f"libnysjit.so.{VERSION}")


class Hosts(unittest.TestCase):
    """C and C++, by CMake and by pkg-config, with an empty home and no other environment."""

    def test_find_package(self):
        for name, words in (("attention", "the same to the last bit"),
                            ("attention_cpp", "head_dim: expected"),
                            ("padded_batch", "to the last bit")):
            self.assertIn(words, run(EXAMPLES / name, env=ENVIRONMENT))
        self.assertIn(f"{PREFIX}/{LIBDIR}/libnysjit.so.0", run("ldd", EXAMPLES / "attention"))

    def test_find_package_takes_versions_of_this_minor_one(self):
        folder = FOLDER / "version"
        folder.mkdir()
        (folder / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.25)\nproject(version LANGUAGES NONE)\n"
            "find_package(nysjit ${wanted})\nmessage(STATUS \"found: ${nysjit_FOUND}\")\n")
        major, minor, _ = map(int, VERSION.split("."))
        for wanted, found in ((f"{major}.{minor}", 1), (VERSION, 1), (f"{major}.{minor + 1}", 0),
                              (f"{major}.{minor - 1}", 0), (f"{major + 1}.0", 0)):
            said = run("cmake", "-S", folder, "-B", folder / wanted, f"-Dwanted={wanted}",
                       f"-DCMAKE_PREFIX_PATH={PREFIX}")
            self.assertIn(f"found: {found}", said, wanted)

    def test_pkg_config(self):
        version = run("pkg-config", "--modversion", "nysjit", env=ENVIRONMENT).strip()
        self.assertEqual(version, VERSION)
        environment = {**ENVIRONMENT, "LD_LIBRARY_PATH": str(PREFIX / LIBDIR)}
        for compiler, name in ((["cc", "-std=c11"], "attention.c"),
                               (["c++", "-std=c++17"], "attention.cpp")):
            text = (SOURCE / "examples" / name).read_text()
            host = with_pkg_config(compiler, text, pathlib.Path(name).suffix)
            self.assertIn("causal for cpu:native: ", run(host, env=environment))

    def test_the_emulator_is_found_by_a_host(self):
        host = with_pkg_config(["cc", "-std=gnu11"], EMULATED, ".c")
        said = run(host, env={**ENVIRONMENT, "LD_LIBRARY_PATH": str(PREFIX / LIBDIR)})
        self.assertEqual(said, "emulated\n")

    def test_the_header_takes_its_own_dlpack_where_there_is_no_other(self):
        links = FOLDER / "headers"  # all of the system's but DLPack's
        links.mkdir()
        for entry in pathlib.Path("/usr/include").iterdir():
            if entry.name != "dlpack":
                (links / entry.name).symlink_to(entry)
        own = run("cc", "-print-file-name=include").strip()
        said = run("cc", "-nostdinc", "-isystem", own, "-isystem", links, "-isystem",
                   links / "x86_64-linux-gnu", "-I", PREFIX / "include", "-M", "-x", "c",
                   PREFIX / "include/nysjit.h")
        self.assertIn("include/nysjit/dlpack.h", said)


class Page(unittest.TestCase):
    """docs/embedding.md: its files and commands, as they stand there."""

    def test_hosts_of_the_page_are_built_and_run(self):
        if shutil.which("pkg-config") is None:
            skip("docs/embedding.md", "no pkg-config")
        text = (SOURCE / "docs/embedding.md").read_text()
        folder = FOLDER / "page"
        folder.mkdir()
        for name, content in re.findall(r"^`([\w.]+)`\n```\w+\n(.*?)^```", text, re.M | re.S):
            (folder / name).write_text(content)
        self.assertEqual(files(folder), {"host.cpp", "CMakeLists.txt", "host.c"})
        blocks = [block for block in re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)
                  if "host" in block]
        self.assertEqual(len(blocks), 2)
        for block in blocks:
            said = run("bash", "-ec", block.replace("$PREFIX/lib", f"$PREFIX/{LIBDIR}"),
                       cwd=folder, env={**ENVIRONMENT, "PREFIX": str(PREFIX)})
            self.assertIn("the mean of ones is 1\n", said)


class Places(unittest.TestCase):
    """Worker and emulator are found from each folder that distributions have for libraries."""

    def arranged(self, libdir):
        prefix = FOLDER / libdir.replace("/", "-")
        shutil.copytree(PREFIX, prefix, symlinks=True)
        if libdir != LIBDIR:
            (prefix / libdir).mkdir(parents=True)
            for library in list((prefix / LIBDIR).glob("libnysjit*")):
                library.rename(prefix / libdir / library.name)
        return prefix

    def test_each_libdir(self):
        host = with_pkg_config(["cc", "-std=gnu11"], EMULATED, ".c")
        for libdir in ("lib", "lib64", "lib/x86_64-linux-gnu"):
            prefix = self.arranged(libdir)
            environment = {**ENVIRONMENT, "NYSJIT_CACHE_DIR": str(prefix / "cache"),
                           "LD_LIBRARY_PATH": str(prefix / libdir)}
            self.assertEqual(run(host, env=environment), "emulated\n", libdir)
            said = run(prefix / "bin/nysjit", "devices", env=environment)
            self.assertIn(f"{libdir}/libnysjit_ptx_emulator.so", said)
            run(prefix / "bin/nysjit", "compile", SOURCE / "examples/exact_causal.json",
                env=environment)
            shutil.rmtree(prefix)


    def test_a_relative_path_to_the_library_may_be_left(self):
        host = with_pkg_config(["cc", "-std=gnu11"], EMULATED, ".c")
        folder = FOLDER / "elsewhere"
        (folder / LIBDIR).mkdir(parents=True)
        (folder / LIBDIR / "libnysjit.so.0").touch()
        (folder / LIBDIR / "nysjit-compiler").symlink_to("/bin/false")
        said = run(host, folder, cwd=PREFIX, env={**ENVIRONMENT, "LD_LIBRARY_PATH": LIBDIR,
                                                  "NYSJIT_CACHE_DIR": str(folder / "cache")})
        self.assertEqual(said, "emulated\n")

    def test_what_lies_in_the_current_folder_is_not_taken(self):
        folder = FOLDER / "current"
        folder.mkdir()
        (folder / "nysjit").touch()  # by PATH the command's argv[0] is its name alone
        (folder / "nysjit-compiler").write_text(f"#!/bin/sh\n> {folder}/taken\n")
        (folder / "nysjit-compiler").chmod(0o755)
        (folder / "libnysjit_ptx_emulator.so").touch()
        environment = {**ENVIRONMENT, "PATH": f"{PREFIX}/bin",
                       "NYSJIT_CACHE_DIR": str(folder / "cache")}
        run("nysjit", "compile", SOURCE / "examples/causal.json", env=environment, cwd=folder)
        self.assertFalse((folder / "taken").exists())
        said = run("nysjit", "devices", env=environment, cwd=folder)
        self.assertIn(f"{LIBDIR}/libnysjit_ptx_emulator.so", said)


class Bare(unittest.TestCase):
    def test_hosts_and_the_command_run_in_a_bare_root(self):
        if why := bare_root.missing():
            skip("an installed prefix in a bare root", why)
        root = bare_root.BareRoot(FOLDER / "root")
        shutil.copytree(PREFIX, root.path / "opt/nysjit", symlinks=True)
        for name in ("attention", "attention_cpp"):
            shutil.copy(EXAMPLES / name, root.path)
            status, said = root.run("/" + name, LD_LIBRARY_PATH=f"/opt/nysjit/{LIBDIR}")
            self.assertEqual(status, 0, said)
        shutil.copytree(SOURCE / "examples/data", root.path / "data")
        shutil.copy(SOURCE / "examples/causal.json", root.path)
        status, said = root.run("/opt/nysjit/bin/nysjit", "run", "causal.json", "--q", "data/q.npy",
                                "--k", "data/k.npy", "--v", "data/v.npy", "-o", "o.npy", "--check")
        self.assertEqual(status, 0, said)
        self.assertIn("against the float64 reference", said)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[5:], verbosity=2)
