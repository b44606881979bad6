"""What the tests of Python share: golden cases, random tensors, distances, the command."""

import json
import os
import pathlib
import random
import subprocess
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy
import torch

from nysjit import Spec

BUILD = pathlib.Path(os.environ["NYSJIT_TEST_BUILD"])
SOURCE = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = SOURCE / "tests/golden"
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
# Relative distances to float64, of outputs and of gradients (README).
BOUND = {"float32": 1e-5, "float16": 2e-3, "bfloat16": 1e-2}
GRADIENT_BOUND = {"float32": 1e-5, "float16": 2e-2, "bfloat16": 2e-2}
INPUTS = ("q", "k", "v", "landmark_q", "landmark_k", "conv")
LENGTHS = ("cu_seqlens", "seqlens", "seq_starts", "source_len")


def golden_names():
    return sorted(folder.name for folder in GOLDEN.iterdir() if folder.is_dir())


def golden(name):
    """(spec, scale or None, {name: tensor}) of a case; floats are float32."""
    folder = GOLDEN / name
    tensors = {}
    for file in folder.glob("*.npy"):
        array = numpy.load(file)
        is_count = array.dtype.kind in "iu"
        kind = numpy.int32 if is_count else numpy.float32
        tensors[file.stem] = torch.from_numpy(array.astype(kind))
    scale = json.loads((folder / "run.json").read_text()).get("scale")
    return Spec.from_json((folder / "spec.json").read_text()), scale, tensors


def golden_bounds(name):
    """Of a case's output and of its gradients in float32; scores are up to 1e4 in some."""
    if name.endswith("huge-scores"):
        return 1e-4, 1e-3
    return BOUND["float32"], GRADIENT_BOUND["float32"]


def golden_in_16_bits():
    """(name, dtype) of some cases, for each is three programs to compile. NYSJIT_TEST_ALL=1: of all
    cases, both dtypes."""
    dtypes = ("float16", "bfloat16")
    if os.environ.get("NYSJIT_TEST_ALL"):
        return [(name, dtype) for name in golden_names() for dtype in dtypes]
    return [(name, dtypes[i % 2]) for i, name in enumerate(golden_names()[1::4])]


def arguments(tensors, dtype=None):
    """Those of attention, by name, in a dtype; differentiable."""
    found = {name: tensors[name] for name in LENGTHS if name in tensors}
    for name in INPUTS:
        if name in tensors:
            found[name] = tensors[name].detach().to(dtype).requires_grad_()
    return found


def norm(tensor):
    return tensor.double().norm().item()


def distance(found, expected):
    """Relative, in the Frobenius norm."""
    difference = norm(found.double() - expected.double())
    size = norm(expected)
    return difference / size if size else difference


def gradient_distance(found, expected, dout):
    """Relative to the gradient, or to a hundredth of dout where the gradient is less."""
    size = max(norm(expected), norm(dout) / 100)
    return norm(found.double() - expected.double()) / size if size else norm(found)


def seeded(test):
    """A generator of numbers, which a failing test names; NYSJIT_TEST_SEED takes a seed back."""
    seed = int(os.environ.get("NYSJIT_TEST_SEED", random.SystemRandom().randrange(2**32)))
    print(f"seed {seed} of {test}", flush=True)
    torch.manual_seed(seed)
    return random.Random(seed)


def at_once(work, count=4):
    """What work() gives in each of so many threads, which begin together."""
    barrier = threading.Barrier(count)

    def begin(_):
        barrier.wait()
        return work()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(begin, range(count)))


def qkv(batch, heads, rows, size, key_heads=None, dtype=torch.float32):
    """Random views of [B, n, H, d], differentiable."""
    counts = (heads, key_heads or heads, key_heads or heads)
    made = [torch.randn(batch, rows, count, size).to(dtype) for count in counts]
    return [tensor.transpose(1, 2).requires_grad_() for tensor in made]


def command(spec, tensors, dout=None):
    """What `nysjit run` computes: {"o", "dq", ...}, float32; tests/conformance has it right."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder)
        (path / "spec.json").write_text(str(spec))
        words = [BUILD / "bin/nysjit", "run", path / "spec.json", "-o", path / "o.npy"]
        outputs = {"o": path / "o.npy"}
        given = {**tensors, **({} if dout is None else {"dout": dout})}
        for name, tensor in given.items():
            array = tensor.detach().contiguous()
            array = array.float() if array.is_floating_point() else array
            numpy.save(path / f"{name}.npy", array.numpy())
            words += ["--" + name.replace("_", "-"), path / f"{name}.npy"]
            if dout is not None and name in INPUTS:
                outputs["d" + name] = path / f"d{name}.npy"
                words += ["--d" + name.replace("_", "-"), outputs["d" + name]]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise AssertionError(f"{spec}: the command ended so: {done.stdout}{done.stderr}")
        return {name: torch.from_numpy(numpy.load(file)) for name, file in outputs.items()}
