"""What the examples in Python share: tensors as flat lists of numbers, .npy files, and a run of
`nysjit`. No packages."""

import array
import ast
import json
import math
import pathlib
import random
import subprocess
import sys
import tempfile

NYSJIT = (
    sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[1] / "build/bin/nysjit"
)


def normal(*shape, seed):
    generator = random.Random(seed)
    return [generator.gauss(0, 1) for _ in range(math.prod(shape))]


def save(path, numbers, shape, type="<f4"):
    header = f"{{'descr': '{type}', 'fortran_order': False, 'shape': {tuple(shape)}, }}"
    header += " " * (-(len(header) + 11) % 64) + "\n"
    content = array.array({"<f4": "f", "<i8": "q"}[type], numbers).tobytes()
    path.write_bytes(
        b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + content
    )


def load(path):
    content = path.read_bytes()
    start = 10 + int.from_bytes(content[8:10], "little")
    assert ast.literal_eval(content[10:start].decode())["descr"] == "<f4"
    return array.array("f", content[start:])


def attend(spec, shape, q, k, v, key_shape=None, **others):
    """The output, flat, for q [B, H, n, d], k and v of the same shape or key_shape. Others by flag:
    conv=(numbers, shape), source_len=[...]; with cu_seqlens=[...] shapes are [total, H, d]."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "spec.json").write_text(json.dumps(spec))
        command = [NYSJIT, "run", folder / "spec.json", "--check", "-o", folder / "o.npy"]
        for flag, value in {
            "q": (q, shape),
            "k": (k, key_shape or shape),
            "v": (v, key_shape or shape),
            **others,
        }.items():
            file = folder / f"{flag}.npy"
            if isinstance(value, list):
                save(file, value, [len(value)], "<i8")
            else:
                save(file, *value)
            command += [f"--{flag.replace('_', '-')}", file]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(done.stderr)
        return load(folder / "o.npy")


def changed(x, shape, positions, seed):
    """A copy of x [B, H, n, d] with other numbers at positions[b] of each sequence b."""
    heads, length, size = shape[1:]
    other, x = normal(*shape, seed=seed), list(x)
    for b, where in enumerate(positions):
        for h in range(heads):
            for t in where:
                at = ((b * heads + h) * length + t) * size
                x[at : at + size] = [100 * number for number in other[at : at + size]]
    return x


def rows(x, shape, b, where):
    """The numbers of sequence b at these positions, all heads."""
    heads, length, size = shape[1:]
    return [
        list(x[((b * heads + h) * length + t) * size :][:size]) for h in range(heads) for t in where
    ]


def say(claim, holds):
    print(f"{claim}: {'yes' if holds else 'NO'}")
    sys.exit(not holds)
