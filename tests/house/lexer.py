"""C and C++ without what is no code: what the checks of this folder search in.

`masked(text)` has the length and the lines of `text`, so that a place in one is a place in the
other. Comments and preprocessor lines are blanks in it; a literal keeps its quotes, and its letters
are underscores.
"""

import re

_NO_CODE = re.compile(
    r"""
      //[^\n]*
    | /\*.*?\*/
    | R"(?P<delimiter>\w*)\(.*?\)(?P=delimiter)"
    | "(?:\\.|[^"\\\n])*"
    | (?<!\w)'(?:\\.|[^'\\\n])+'            # not the one in 1'000
    | ^[ \t]*\#(?:\\.|[^\n\\])*             # a preprocessor line and those it is continued on
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)


def _blank(match):
    text = match[0]
    if text[0] not in "\"'R":
        return re.sub(r"[^\n]", " ", text)
    return '"' + re.sub(r"[^\n]", "_", text[1:-1]) + '"'


def masked(text):
    return _NO_CODE.sub(_blank, text)


def line_of(text, place):
    return text.count("\n", 0, place) + 1


def closing(mask, place):
    """Where the bracket at `place` is closed; the end where it is not."""
    depth = 0
    for i in range(place, len(mask)):
        if mask[i] in "([{":
            depth += 1
        elif mask[i] in ")]}":
            depth -= 1
            if depth == 0:
                return i
    return len(mask) - 1
