"""What is written can be read: lines to 100 characters, one declaration a line, files to 400 lines,
functions to 60.

    usage: lines_test.py SOURCE_DIR           checks
           lines_test.py SOURCE_DIR --list    prints what exceptions.txt would have to hold

exceptions.txt lists what is not there yet: a check, a place and how much (lines of a file or a
function; how many, of too long lines and declarations). It may only shrink: what is in it and has
become better must be taken out of it or lowered.
"""

import pathlib
import sys
import unittest

import declarations
from functions import functions
from lexer import line_of
from sources import is_c, sources

COLUMNS, FILE_LINES, FUNCTION_LINES = 100, 400, 60
EXCEPTIONS = pathlib.Path(__file__).with_name("exceptions.txt")


def long_lines(path, text):
    return [i for i, line in enumerate(text.splitlines(), 1) if len(line) > COLUMNS]


def broken(path, text):
    """(check and place, how much, where) of each rule that a file breaks."""
    if found := long_lines(path, text):
        yield f"columns {path}", len(found), f"lines {found} have over {COLUMNS} characters"
    lines = len(text.splitlines())
    if (is_c(path) or path.endswith(".py")) and lines > FILE_LINES:
        yield f"file {path}", lines, f"{lines} lines, at most {FILE_LINES} were expected"
    if not is_c(path):
        return
    if found := [line_of(text, place) for place in declarations.occurrences(text)]:
        yield f"declarations {path}", len(found), f"several in one statement at lines {found}"
    for function in functions(text):
        if function.lines > FUNCTION_LINES:
            where = f"line {function.line}: {function.lines} lines, at most {FUNCTION_LINES}"
            yield f"function {path} {function.name}", function.lines, where + " were expected"


def exceptions():
    entries = [line.rsplit(" ", 1) for line in EXCEPTIONS.read_text().splitlines()]
    return {what: int(count) for what, count in entries}


def errors(files, listed):
    """What is worse than listed, and what has become better and is still listed."""
    left = dict(listed)
    wrong = []
    for path, text in files:
        for what, count, where in broken(path, text):
            allowed = left.pop(what, None)
            if allowed is None:
                wrong.append(f"{what}: {where}")
            elif allowed != count:
                wrong.append(f"{what}: {count} found, exceptions.txt says {allowed}: {where}")
    return wrong + [f"{what}: is well, take it out of exceptions.txt" for what in left]


class Source(unittest.TestCase):
    def test_is_readable(self):
        files = list(sources(SOURCE))
        self.assertGreater(len(files), 250)
        wrong = errors(files, exceptions())
        self.assertFalse(wrong, "\n" + "\n".join(wrong))


class Rules(unittest.TestCase):
    def wrong(self, path, text, listed=None):
        return errors([(path, text)], listed or {})

    def test_a_line_of_101_characters_is_too_long(self):
        for path in ("a.h", "a.td", "a.py", "a.sh", "CMakeLists.txt"):
            self.assertEqual(self.wrong(path, "–" * 100), [], path)
            self.assertEqual(len(self.wrong(path, "–" * 101)), 1, path)

    def test_two_declarations_are_too_many(self):
        self.assertEqual(self.wrong("a.c", "int a;\nint b;"), [])
        self.assertEqual(len(self.wrong("a.c", "int a, b;")), 1)

    def test_a_file_of_401_lines_is_too_long(self):
        self.assertEqual(self.wrong("a.py", "a\n" * 400), [])
        self.assertEqual(len(self.wrong("a.py", "a\n" * 401)), 1)

    def test_a_function_of_61_lines_is_too_long(self):
        self.assertEqual(self.wrong("a.cpp", "void f() {\n" + "\n" * 58 + "}"), [])
        self.assertEqual(len(self.wrong("a.cpp", "void f() {\n" + "\n" * 59 + "}")), 1)

    def test_exceptions_may_only_shrink(self):
        long = "a\n" * 402
        self.assertEqual(self.wrong("a.py", long, {"file a.py": 402}), [])
        self.assertEqual(len(self.wrong("a.py", long, {"file a.py": 401})), 1)
        self.assertEqual(len(self.wrong("a.py", long, {"file a.py": 403})), 1)
        self.assertEqual(len(self.wrong("a.py", "a\n", {"file a.py": 402})), 1)


if __name__ == "__main__":
    SOURCE = pathlib.Path(sys.argv[1]).resolve()
    if "--list" in sys.argv:
        for path, text in sources(SOURCE):
            for what, count, _ in broken(path, text):
                print(what, count)
        sys.exit()
    unittest.main(argv=sys.argv[:1] + sys.argv[2:], verbosity=2)
