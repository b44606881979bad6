"""Finds declarations of several names in one statement, as in `int a, *b = nullptr;`.

    usage: declarations.py FILE...

There is no grammar of C++ here, only what tells a declaration from the other statements with
commas: a type, words without an operator between them, then a name, then `=`, a bracket or the
comma. `f(a, b);` has its commas in brackets, `a = 1, b = 2;` has no type, and a statement that
begins with one of OTHER declares something else. A head of `for` lies in brackets of its own and
may declare two.
"""

import pathlib
import re
import sys

from lexer import line_of, masked

OTHER = re.compile(
    r"(?:class|struct|union|enum|namespace|using|typedef|friend|static_assert|return|throw|delete"
    r"|goto|case|default|else|do|if|for|while|switch|co_return|extern\s*\"|template\s*<[^;]*>\s*"
    r"(?:class|struct|union|using|concept))\b"
)
ACCESS = re.compile(r"\b(?:public|private|protected)\s*$")


class _Scope:
    """What is between two brackets: where its statement began and had commas."""

    def __init__(self, bracket, start):
        self.bracket = bracket
        self.begin(start)

    def begin(self, start):
        self.start = start
        self.commas = []
        self.angles = 0  # open <, of template arguments


def _opens_angle(mask, i):
    """Whether the < at i opens template arguments and compares nothing: it touches a name."""
    return i > 0 and (mask[i - 1].isalnum() or mask[i - 1] == "_" or mask[:i].endswith("template "))


def _ends_statement(mask, i):
    """Whether the } at i ends one: what follows goes on with no expression."""
    following = mask[i + 1 :].lstrip()[:1]
    return following == "" or following not in ";,).([]?<>=+-*/&|:"


def statements(mask):
    """(start, end, commas) of each statement with commas outside brackets that a ; ends."""
    scopes = [_Scope("{", 0)]
    for i, c in enumerate(mask):
        scope = scopes[-1]
        if c in "([{":
            scopes.append(_Scope(c, i + 1))
        elif c in ")]}":
            if len(scopes) > 1:
                scopes.pop()
            if c == "}" and _ends_statement(mask, i):
                scopes[-1].begin(i + 1)
        elif c == "<" and _opens_angle(mask, i):
            scope.angles += 1
        elif c == ">" and scope.angles and mask[i - 1] != "-":
            scope.angles -= 1
        elif c == "," and not scope.angles:
            scope.commas.append(i)
        elif c == ";":
            if scope.bracket == "{" and scope.commas:
                yield scope.start, i, scope.commas
            scope.begin(i + 1)
        elif c == ":" and scope.bracket == "{" and ACCESS.search(mask, scope.start, i):
            scope.begin(i + 1)


def _first_declarator(chunk):
    """`chunk`, up to the first comma, without its initialiser, bounds and attributes."""
    angles = 0
    chunk = re.sub(r"\[\[.*?\]\]|\balignas\s*\([^)]*\)", " ", chunk)
    for i, c in enumerate(chunk):
        if c == "<" and _opens_angle(chunk, i):
            angles += 1
        elif c == ">" and angles:
            angles -= 1
        elif c in "=({[" and not angles:
            return chunk[:i].rstrip()
    return chunk.rstrip()


def _declares(chunk):
    """Whether it is a type and a name, with * and & between them."""
    found = re.fullmatch(r"(.*[A-Za-z_0-9>])(?:\s*[*&][\s*&]*|\s+)[A-Za-z_]\w*", chunk, re.DOTALL)
    if not found:
        return False
    words = re.sub(r"<.*>|decltype\([^)]*\)", "", found[1], flags=re.DOTALL)
    return re.fullmatch(r"[\w\s:*&]+", words) is not None


def occurrences(text):
    """The place of each."""
    mask = masked(text)
    for start, end, commas in statements(mask):
        chunk = mask[start : commas[0]]
        begin = start + len(chunk) - len(chunk.lstrip())
        if not OTHER.match(mask, begin) and _declares(_first_declarator(chunk.lstrip())):
            yield begin


if __name__ == "__main__":
    count = 0
    for name in sys.argv[1:]:
        code = pathlib.Path(name).read_text()
        for place in occurrences(code):
            count += 1
            print(f"{name}:{line_of(code, place)}: {code[place:].splitlines()[0]}")
    sys.exit(count > 0)
