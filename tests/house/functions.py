"""Finds the functions of C and C++ and how many lines each has, head and braces included.

What stands before a { tells what it opens: a namespace, class or enum has its word and is looked
into; a head with an argument list is a function's, which ends at its }; all else is a value in
braces and is stepped over. Lambdas and local classes count as lines of the function they are in.
"""

import re
from typing import NamedTuple

from lexer import closing, line_of, masked

TEMPLATE = r"(?:template\s*<[^{;]*>\s*)?(?:requires[^{;]*)?"
MACROS = r"(?:[A-Z_]+\([^()]*\)\s*)*"  # called without a ;
SCOPE = re.compile(
    rf"\s*{MACROS}(?:(?:inline\s+)?namespace\b|extern\s*\"|{TEMPLATE}(?:class|struct|union|enum)\b)"
)
ACCESS = re.compile(r"\s*(?:public|private|protected)\s*:(?!:)")
# In a constructor's list of members, `: a(a), b` before {b}: not yet the body.
MEMBER = re.compile(r"\)[\s\w]*:(?!:).*[\w>]\s*$", re.DOTALL)


class Function(NamedTuple):
    name: str
    line: int
    lines: int


def _name(head):
    """`A::f` of `static int A::f(int a) const`, `Suite.Name` of `TEST(Suite, Name)`."""
    test = re.search(r"\b(?:TYPED_)?TEST(?:_[FP])?\s*\(\s*(\w+)\s*,\s*(\w+)", head)
    if test:
        return f"{test[1]}.{test[2]}"
    operator = re.search(r"[\w:]*operator\s*(?:\(\)|[^\s\w(]+|[\w\s:]+)(?=\s*\()", head)
    called = re.search(r"(~?\w+(?:\s*::\s*~?\w+)*)\s*\(", head)
    found = operator[0] if operator else called[1] if called else "?"
    return re.sub(r"\s+", "", found)


def _opens_scope(head):
    found = SCOPE.match(head)
    # A function may return a `struct X`: then it has arguments.
    return found is not None and not re.search(r"\w\s*\([^)]*\)\s*(?:const|noexcept)?\s*$", head)


def functions(text):
    """Each of `text`, in its order."""
    mask = masked(text)
    start = 0  # of the head of what comes next
    i = 0
    while i < len(mask):
        if access := ACCESS.match(mask, start):
            start = i = max(i, access.end())
        if i >= len(mask):
            return
        c = mask[i]
        head = mask[start:i]
        if c in ";}":
            start = i + 1
        elif c in "([":
            i = closing(mask, i)
        elif c == "{" and _opens_scope(head):
            start = i + 1
        elif c == "{":
            end = closing(mask, i)
            if "(" in head and not MEMBER.search(head) and not re.search(r"=\s*$", head):
                begin = start + len(head) - len(head.lstrip())
                first = line_of(mask, begin)
                yield Function(_name(head), first, line_of(mask, end) - first + 1)
                start = end + 1
            i = end
        i += 1
