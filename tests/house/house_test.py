"""The house keeps its shape: includes go downward, the runtime library is small and free of LLVM.

usage: house_test.py SOURCE_DIR BUILD_DIR
"""

import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

SOURCE, BUILD = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])

# A folder includes only itself and what stands before it here.
LAYERS = """
runtime/include runtime/base runtime/picture runtime/spec runtime/plan runtime/cuda runtime/emulator
runtime/npy runtime/reference runtime/worker runtime/device runtime/calibrate runtime/cache
runtime/configs runtime/bundle runtime/api runtime/hosts runtime/gpu runtime/tune runtime/bench
runtime/cli
compiler/tile/dialect compiler/tile/builder compiler/lowering compiler/lowering/cpu
compiler/lowering/gpu templates compiler/worker examples tests
""".split()
# What the compiler's side shares with the runtime, and all that a template may see.
SHARED = ["runtime/base", "runtime/spec", "runtime/plan", "runtime/worker"]
ONLY = {
    "compiler": SHARED + ["compiler", "templates"],
    "templates": ["templates", "compiler/tile/builder", "runtime/spec"],
    "compiler/tile/dialect": ["compiler/tile/dialect"],
    "compiler/tile/builder": ["compiler/tile", "runtime/base", "runtime/spec", "runtime/plan"],
    "compiler/lowering": ["compiler/lowering", "compiler/tile/dialect"],
    "runtime/hosts": ["runtime/hosts", "runtime/include"],
    "examples": ["runtime/include", "runtime/npy", "runtime/reference", "runtime/base"],
}
HEAVY = re.compile(r'#include [<"](mlir|llvm|lld|clang)[-/]')


def longest(folders, path):
    """The innermost of the folders that the path lies in, or None."""
    holding = [folder for folder in folders if path == folder or path.startswith(folder + "/")]
    return max(holding, key=len, default=None)


def layer_of(path):
    return longest(LAYERS, path)


def forbidden(file, text):
    """Each include of `text`, a file at `file`, that points upward."""
    own, wrong = layer_of(file), []
    for line in text.splitlines():
        if HEAVY.match(line) and not file.startswith(("compiler/", "tests/")):
            wrong.append(f"{file}: {line}: LLVM is for compiler/ alone")
        found = re.match(r'#include "((runtime|compiler|templates|examples|tests)/[^"]+)"', line)
        if not found:
            continue
        target = layer_of(found[1])
        if target is None or own is None or LAYERS.index(target) > LAYERS.index(own):
            wrong.append(f"{file}: {line}: upward")
        allowed = ONLY.get(longest(ONLY, file))
        if allowed and not any(found[1].startswith(folder + "/") for folder in allowed):
            wrong.append(f"{file}: {line}: expected one of {', '.join(allowed)}")
    return wrong


class Includes(unittest.TestCase):
    def test_go_downward_only(self):
        files = [
            f
            for top in ("runtime", "compiler", "templates", "examples", "tests")
            for f in (SOURCE / top).rglob("*")
            if f.suffix in (".h", ".hpp", ".c", ".cpp")
        ]
        self.assertGreater(len(files), 50)
        wrong = [
            error for f in files for error in forbidden(str(f.relative_to(SOURCE)), f.read_text())
        ]
        self.assertEqual(wrong, [])

    def test_an_upward_include_is_found(self):
        for file, line in (
            ("runtime/spec/a.h", '#include "runtime/cache/cache.h"'),
            ("runtime/api/a.cpp", '#include "mlir/IR/Builders.h"'),
            ("compiler/lowering/cpu/a.cpp", '#include "runtime/api/context.h"'),
            ("templates/a.cpp", '#include "compiler/lowering/cpu/schedule.h"'),
        ):
            self.assertTrue(forbidden(file, line), file)


class Library(unittest.TestCase):
    library = BUILD / "lib/libnysjit.so"

    def test_has_no_llvm(self):
        needed = subprocess.run(
            ["ldd", self.library], capture_output=True, text=True, check=True
        ).stdout
        self.assertIn("libc.so", needed)
        self.assertNotRegex(needed, r"(?i)llvm|mlir|lld|clang")
        symbols = subprocess.run(
            ["nm", "--demangle", self.library], capture_output=True, text=True, check=True
        ).stdout
        self.assertNotRegex(symbols, r"\b(llvm|mlir|lld)::")

    def test_is_at_most_a_megabyte_stripped(self):
        with tempfile.TemporaryDirectory() as folder:
            stripped = pathlib.Path(folder) / "stripped.so"
            subprocess.run(["strip", "-o", stripped, self.library], check=True)
            self.assertLessEqual(stripped.stat().st_size, 1 << 20)

    def test_shows_the_c_api_and_nothing_else(self):
        headers = "".join(f.read_text() for f in (SOURCE / "runtime/include").glob("*.h"))
        declared = set(re.findall(r"NYSJIT_EXPORT [^;(]*?\b(nysjit_\w+)\(", headers))
        listed = subprocess.run(
            ["nm", "-D", "--defined-only", self.library], capture_output=True, text=True, check=True
        ).stdout
        self.assertGreaterEqual(len(declared), 10)
        self.assertEqual(
            {line.split()[-1].split("@")[0] for line in listed.splitlines() if " A " not in line},
            declared,
        )


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], verbosity=2)
