"""The end of tests/run.sh says what was skipped and why.

usage: skips_test.py SOURCE_DIR
"""

import pathlib
import sys
import tempfile
import unittest

SOURCE = pathlib.Path(sys.argv[1]).resolve()
sys.path.insert(0, str(SOURCE / ".ci"))

import skips

GTEST = "a.cpp:41: Skipped\nno ptxas was found\n\n[  SKIPPED ] A.B (0 ms)\n"


class Skips(unittest.TestCase):
    def test_reasons_are_the_tests_own_words(self):
        self.assertEqual(skips.reason(GTEST), "no ptxas was found")
        self.assertEqual(skips.reason("skipped: no formatter\n"), "no formatter")
        self.assertEqual(skips.reason("\n"), "it did not say why")

    def test_are_counted_by_reason(self):
        cases = [
            ("A", True, GTEST),
            ("B", True, GTEST),
            ("C", True, "skipped: no D"),
            ("E", False, ""),
        ]
        lines = ["3 tests were skipped:", "    1 no D (C)", "    2 no ptxas was found (A, B)"]
        self.assertEqual(skips.summary(cases), lines)

    def test_notes_of_tests_that_passed_are_said(self):
        cases = [("A", False, "[ OK ]\nnote: 1 of 9 did not fit\nother\n")]
        self.assertEqual(skips.summary(cases), ["0 tests were skipped", "note: 1 of 9 did not fit"])

    def test_reads_what_ctest_writes(self):
        xml = (
            "<testsuite><testcase name='A' status='run'><system-out>note: x</system-out></testcase>"
            "<testcase name='B' status='notrun'><skipped message='SKIP_RETURN_CODE=77'/>"
            "<system-out>skipped: no D</system-out></testcase>"
            "<testcase name='E' status='disabled'/></testsuite>"
        )
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "tests.xml"
            path.write_text(xml)
            cases = list(skips.cases(path))
        disabled = ("E", True, "skipped: disabled in its source")
        self.assertEqual(cases, [("A", False, "note: x"), ("B", True, "skipped: no D"), disabled])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[2:], verbosity=2)
