"""Sums up what ctest skipped, by reason, and what tests that passed have to say aloud.

usage: skips.py JUNIT.xml (of ctest --output-junit)

A reason is what GTEST_SKIP was given or a line that begins with "skipped"; a test that passed says
aloud the lines that begin with "note:".
"""

import collections
import re
import sys
import xml.etree.ElementTree


def reason(output):
    """Of one skipped test."""
    found = re.search(r": Skipped\n(.+)", output) or re.search(r"^skipped[,:]? *(.+)", output, re.M)
    words = found[1].strip() if found else "it did not say why"
    return re.sub(r"^skipped[,:] *", "", words)


def summary(cases):
    """Lines about (name, was skipped, output) of each test."""
    names = collections.defaultdict(list)
    notes = []
    for name, was_skipped, output in cases:
        if was_skipped:
            names[reason(output)].append(name)
        notes += re.findall(r"^note: .*", output, re.M)
    count = sum(len(group) for group in names.values())
    lines = [f"{count} tests were skipped" + (":" if count else "")]
    for why, group in sorted(names.items()):
        more = f" and {len(group) - 3} more" if len(group) > 3 else ""
        lines.append(f"  {len(group):3} {why} ({', '.join(group[:3])}{more})")
    return lines + notes


def cases(path):
    for case in xml.etree.ElementTree.parse(path).getroot().iter("testcase"):
        was_skipped = (
            case.get("status") in ("notrun", "disabled") or case.find("skipped") is not None
        )
        is_disabled = case.get("status") == "disabled"  # and so printed nothing
        output = "skipped: disabled in its source" if is_disabled else case.findtext("system-out")
        yield case.get("name"), was_skipped, output or ""


if __name__ == "__main__":
    print("\n".join(summary(cases(sys.argv[1]))))
