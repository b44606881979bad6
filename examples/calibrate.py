"""Probes for a model that nobody trained with them: found from its queries over one text, used on
another.

usage: calibrate.py [NYSJIT]

Prints how far `causal` with segments of 64 is from exact causal attention: with its own segment
means, and through 4 probes a head.
"""

import json
import math
import pathlib
import subprocess
import sys
import tempfile

from tensors import NYSJIT, load, say

DATA = pathlib.Path(__file__).parent / "data"
TEXTS = {"a licence": DATA, "a story": DATA / "alice"}
CAUSAL = {"layout": "causal", "head_dim": 32, "landmarks": 8, "segment_len": 64}
PROBES = {**CAUSAL, "landmark_source": "learned", "probes": 4}
SPECS = {
    "own segment means": CAUSAL,
    "probes, uniform": PROBES,
    "probes, dyadic": {**PROBES, "landmark_spacing": "dyadic"},
    "exact": {"layout": "exact_causal", "head_dim": 32},
}


def call(*command):
    done = subprocess.run([NYSJIT, *command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)


def outputs(folder, text, other):
    """{name of the spec: its output over the text's queries, keys and values}, the probes being
    those of the other text's queries."""
    found = {}
    for name, spec in SPECS.items():
        (folder / "spec.json").write_text(json.dumps(spec))
        run = ["run", folder / "spec.json", "-o", folder / "o.npy"]
        for tensor in "qkv":
            run += [f"--{tensor}", TEXTS[text] / f"{tensor}.npy"]
        if "probes" in spec:
            probes = folder / "probes.npy"
            call("calibrate", folder / "spec.json", "--q", TEXTS[other] / "q.npy", "-o", probes)
            run += ["--landmark-q", probes]
        call(*run)
        found[name] = load(folder / "o.npy")
    return found


def distance(o, exact):
    """||o - exact|| / ||exact||"""
    squares = math.fsum((x - y) ** 2 for x, y in zip(o, exact))
    return math.sqrt(squares / math.fsum(y * y for y in exact))


nearer = True
for text, other in (("a licence", "a story"), ("a story", "a licence")):
    with tempfile.TemporaryDirectory() as folder:
        found = outputs(pathlib.Path(folder), text, other)
    exact = found.pop("exact")
    errors = {name: distance(o, exact) for name, o in found.items()}
    print(f"over {text}, probes from {other}:")
    for name, error in errors.items():
        print(f"  {name:20} {error:.3f}")
    nearer = nearer and max(errors.values()) == errors["own segment means"]
say("probes from another text are nearer than the text's own segment means", nearer)
