"""The loops of a spec's kernels in SASS that multiply matrices: instructions, HMMA, and how many to
one. No GPU needed, but ptxas and nvdisasm or cuobjdump (CUDA toolkit, or pip's nvidia packages).

usage: sass_loops.py SPEC.json [TARGET]
"""

import collections
import re
import subprocess
import sys

from harness import BUILD


def main():
    spec, target = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "cuda:sm_80"
    sass = subprocess.run(
        [BUILD / "bin/nysjit", "compile", spec, "--target", target, "--emit", "sass"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    kernel, instructions, labels = "", [], {}
    print("| kernel | instructions | HMMA | to one |\n|---|---|---|---|")
    for line in sass.splitlines():
        if match := re.match(r"\s*(?:Function : |\.text\.)(\w+)", line):
            kernel, instructions, labels = match[1], [], {}
        if match := re.match(r"(\.L_x_\d+):", line):
            labels[match[1]] = len(instructions)
        match = re.match(r"\s+/\*([0-9a-f]{4,5})\*/\s+(.*?);", line)
        if not match:
            continue
        labels[f"0x{match[1].lstrip('0') or '0'}"] = len(instructions)
        instructions.append(re.sub(r"^@!?U?P\w+\s+", "", match[2]))
        jump = re.search(r"BRA.*?(?:`\((\.L_x_\d+)\)|(0x[0-9a-f]+))", instructions[-1])
        start = labels.get(jump[1] or jump[2]) if jump else None  # backwards: it is known
        if start is None:
            continue
        names = collections.Counter(one.split(".")[0].split()[0] for one in instructions[start:])
        if names["HMMA"]:
            count = sum(names.values())
            print(f"| {kernel} | {count} | {names['HMMA']} | {count / names['HMMA']:.2f} |")


main()
