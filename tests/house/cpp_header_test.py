"""The public headers compile without a warning: nysjit.h and nysjit_calibrate.h as C99, C11 and
C++11, nysjit.hpp as C++17 and C++20.

usage: cpp_header_test.py SOURCE_DIR COMPILER...
"""

import pathlib
import shutil
import subprocess
import sys
import unittest

SOURCE = pathlib.Path(sys.argv[1]).resolve()
# GCC's and LLVM's, where they are installed.
COMPILERS = [name for name in (*sys.argv[2:], "g++-12", "clang++-22") if shutil.which(name)]
WARNINGS = "-Wall -Wextra -pedantic -Wshadow -Wconversion -Wold-style-cast -Werror".split()


def errors(compiler, language, standard, text):
    """What the compiler says of a file; "" if nothing."""
    warnings = [w for w in WARNINGS if language == "c++" or w != "-Wold-style-cast"]
    command = [compiler, "-x", language, f"-std={standard}", *warnings, "-fsyntax-only"]
    done = subprocess.run([*command, "-I", SOURCE / "runtime/include", "-"], input=text, text=True,
                          capture_output=True)
    return done.stderr or ("" if done.returncode == 0 else "it failed")


class Headers(unittest.TestCase):
    def test_c(self):
        for compiler in COMPILERS:
            for language, standard in (("c", "c99"), ("c", "c11"), ("c++", "c++11")):
                for name in ("nysjit.h", "nysjit_calibrate.h"):
                    text = f'#include "{name}"\n'
                    self.assertEqual(errors(compiler, language, standard, text), "")

    def test_cpp(self):
        text = '#include "nysjit.hpp"\nint main() { nysjit::Context().prepare("{}"); }\n'
        for compiler in COMPILERS:
            for standard in ("c++17", "c++20"):
                self.assertEqual(errors(compiler, "c++", standard, text), "")

    def test_a_warning_is_seen(self):
        self.assertTrue(COMPILERS)
        for compiler in COMPILERS:
            self.assertIn("shadow", errors(compiler, "c++", "c++17",
                                           "int f(int a) { { int a = 1; return a; } }\n"))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
