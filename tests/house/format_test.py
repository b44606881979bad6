"""C and C++ come out of the repo's own .clang-format as they are.

usage: format_test.py SOURCE_DIR

Without clang-format-22 nothing is checked: it says so and exits with 77, a skipped test for ctest.
"""

import pathlib
import shutil
import subprocess
import sys
import unittest

from sources import is_c, sources


class Format(unittest.TestCase):
    def run_on(self, *arguments, **options):
        command = [FORMATTER, "--dry-run", "-Werror", *arguments]
        return subprocess.run(
            command, cwd=SOURCE, check=False, capture_output=True, text=True, **options
        )

    def accepts(self, name, text):
        return self.run_on(f"--assume-filename={SOURCE / name}", input=text).returncode == 0

    def test_is_the_repos_own(self):
        files = [path for path, _ in sources(SOURCE) if is_c(path)]
        self.assertGreater(len(files), 250)
        done = self.run_on(*files)
        self.assertEqual(done.returncode, 0, f"run clang-format-22 -i on\n{done.stderr}")

    def test_finds_what_is_not(self):
        self.assertTrue(self.accepts("a.cpp", "int a = 1;\n"))
        self.assertFalse(self.accepts("a.cpp", "int  a=1;\n"))

    def test_leaves_others_sources_alone(self):
        self.assertTrue(self.accepts("tests/emulator/fixtures/a.cu", "int  a=1;\n"))


if __name__ == "__main__":
    SOURCE = pathlib.Path(sys.argv[1]).resolve()
    FORMATTER = shutil.which("clang-format-22")
    if FORMATTER is None:
        print("skipped: clang-format-22 was not found")
        sys.exit(77)
    unittest.main(argv=sys.argv[:1] + sys.argv[2:], verbosity=2)
