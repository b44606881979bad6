"""How far `causal` through learned probes is from exact causal attention on real tensors, where the
probes are found by `nysjit calibrate` on another text than they are measured on; beside its own
segment means and other layouts. All by `nysjit run`, exact in numpy's float64.

The texts are those of examples/data, of one layer of the model. Other layers, and other texts to
find probes on, are made by examples/data/make.py in this Python, which needs the model's package
(see there). Needs a build and numpy.
usage: probes.py [--layers 3] [--more TEXT,TEXT] [--save FILE]
"""

import argparse
import itertools
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

from harness import BUILD, ROOT, markdown, publish
from layout_cases import SEGMENT_LENS, Inputs, error, exact_attention, segment_means

DATA = ROOT / "examples/data"
LAYER = 3  # of the files in DATA
TEXTS = {"licence": DATA, "story": DATA / "alice"}
SOURCES = {"licence": ROOT / "LICENSE", "story": DATA / "alice/text.txt"}
OTHER = {"licence": "story", "story": "licence"}
LENGTH, HEAD_DIM = 512, 32


class Command:
    """`nysjit` on files in a folder."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)

    def __call__(self, verb, spec, *arguments):
        (self.folder / "spec.json").write_text(json.dumps(spec))
        line = [BUILD / "bin/nysjit", verb, self.folder / "spec.json", *arguments]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"{spec}: {done.stderr}")

    def run(self, spec, data, **landmarks):
        flags = [word for name in "qkv" for word in (f"--{name}", data / f"{name}.npy")]
        for name, path in landmarks.items():
            flags += [f"--{name.replace('_', '-')}", path]
        self("run", spec, *flags, "-o", self.folder / "o.npy")
        return np.load(self.folder / "o.npy")

    def probes(self, spec, folders):
        """The file of the probes of these texts' queries; it depends on the number alone."""
        name = "-".join([*(folder.name for folder in folders), str(spec["probes"]), "probes.npy"])
        path = self.folder / name
        if not path.exists():
            flags = [word for folder in folders for word in ("--q", folder / "q.npy")]
            self("calibrate", spec, *flags, "-o", path)
        return path


def causal(s, window=0, **more):
    spec = {"layout": "causal", "head_dim": HEAD_DIM, "landmarks": LENGTH // s, "segment_len": s}
    return {**spec, "window": window, **more}


def settings():
    """(its name, window, the spec of a segment length), in the order of the table."""
    for window in (0, 1):
        yield "own segment means", window, lambda s, w=window: causal(s, w)
        yield (
            "own segment means, streaming",
            window,
            lambda s, w=window: causal(s, w, landmark_value="streaming"),
        )
        for probes, spacing in itertools.product(
            (1, 2, 4, 8), ({"landmark_spacing": "uniform"}, *dyadic())
        ):
            learned = {"landmark_source": "learned", "probes": probes, **spacing}
            name = f"{probes} probe{'s' * (probes > 1)}, {spacing['landmark_spacing']}"
            if "level_width" in spacing:
                name += f" b {spacing['level_width']}"
            yield name, window, lambda s, w=window, more=learned: causal(s, w, **more)
    plain = lambda layout, s: {
        "layout": layout,
        "head_dim": HEAD_DIM,
        "landmarks": LENGTH // s,
    }
    yield "segment_causal", 0, lambda s: {**plain("segment_causal", s), "segment_len": s}
    yield (
        "scan, first_k",
        0,
        lambda s: {
            **plain("scan", s),
            "landmark_source": "first_k",
            "first_k": 4 * LENGTH // s,
        },
    )
    yield (
        "scan, learned: the other text's segment means",
        0,
        lambda s: {**plain("scan", s), "landmark_source": "learned"},
    )


def dyadic():
    return [{"landmark_spacing": "dyadic", "level_width": width} for width in (1, 2)]


def make_data(folder, name, text, layer):
    """The folder of the tensors of a layer over a text."""
    if layer == LAYER and name in TEXTS:
        return TEXTS[name]
    sys.path.insert(0, str(DATA))
    import make

    made = folder / f"{name}{layer}"
    made.mkdir()
    for tensor, x in make.tensors(text.read_text(), layer).items():
        np.save(made / f"{tensor}.npy", x)
    return made


def landmarks_of(command, spec, other, more):
    """Flags of the spec's learned landmarks, from one other text or from more."""
    if "probes" in spec:
        return {"landmark_q": command.probes(spec, [other, *more])}
    if spec.get("landmark_source") != "learned":
        return {}
    paths = {}
    for tensor, x in (("landmark_q", "q"), ("landmark_k", "k")):
        paths[tensor] = command.folder / f"{tensor}.npy"
        means = segment_means(np.load(other / f"{x}.npy").astype(np.float32), spec["landmarks"])
        np.save(paths[tensor], means)
    return paths


def errors(command, data, other, more=()):
    """{(name, window, s): error} over one text."""
    tensors = tuple(np.load(data / f"{name}.npy").astype(np.float32) for name in "qkv")
    exact = exact_attention(Inputs("real", tensors, ()), "causal")
    found = {}
    for name, window, spec_of in settings():
        for s in SEGMENT_LENS:
            spec = spec_of(s)
            if more and "probes" not in spec:
                continue
            landmarks = landmarks_of(command, spec, other, more)
            found[name, window, s] = error(command.run(spec, data, **landmarks), exact)
    return found


def table(title, found):
    rows = [
        [name, window, *(f"{found[name, window, s]:.3f}" for s in SEGMENT_LENS)]
        for name, window in dict.fromkeys(key[:2] for key in found)
    ]
    return [*markdown(title, ["layout", "window", *(f"s {s}" for s in SEGMENT_LENS)], rows), ""]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--layers", default=str(LAYER), help="of the model, by commas")
    parser.add_argument("--more", default="", help="files of more texts to find probes on")
    parser.add_argument("--save")
    arguments = parser.parse_args()
    more = [pathlib.Path(path) for path in arguments.more.split(",") if path]
    lines = []
    for layer in map(int, arguments.layers.split(",")):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            command = Command(folder)
            data = {n: make_data(folder, n, text, layer) for n, text in SOURCES.items()}
            others = [make_data(folder, path.stem, path, layer) for path in more]
            for text, other in OTHER.items():
                title = f"Layer {layer}, over the {text}, probes from "
                lines += table(f"{title}the {other}", errors(command, data[text], data[other]))
                if others:
                    words = ", ".join(path.name for path in more)
                    lines += table(
                        f"{title}the {other}, {words}",
                        errors(command, data[text], data[other], others),
                    )
    note = "Relative errors over all 12 heads, n 512, d 32; float32. The licence is Apache-2.0's."
    publish(lines, [note, ""])


if __name__ == "__main__":
    main()
