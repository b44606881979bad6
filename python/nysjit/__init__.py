"""nysjit: compiled causal Nystrom attention.

``nysjit.torch`` has the attention of PyTorch, which is where most begin::

    from nysjit.torch import attention
    o = attention(q, k, v, layout="causal", segment_len=64)

This module has what needs no framework, and imports none: specs, programs compiled ahead, devices,
and where C and C++ find headers and CMake's package.
"""

import json
import subprocess

from nysjit import _library
from nysjit._library import Error

__all__ = ["Error", "Spec", "cmake_dir", "devices", "include_dir", "info", "prepare"]
__version__ = "0.1.0"

# The most segments that a spec may allow; the limit costs nothing where segment_len is given.
_MOST_LANDMARKS = {"causal": 1024, "segment_causal": 1024, "bidirectional": 512, "prefix_lm": 512}
_MOST_BLOCKS = 65536  # of dyadic spacing
NO_PASS = "pass: expected none, it follows from what is asked for, found one"


class _Pairs(list):
    """What a JSON object holds, keys that it has twice too."""


class Spec:
    """What is computed: the keys of docs/spec.md, as keyword arguments.

    ``Spec(layout="causal", segment_len=64)``. ``head_dim`` and ``dtype`` may be left out where
    tensors say them, and ``landmarks`` where ``segment_len`` is given: it is then as large as it
    may be. Keys and values are checked when a program is prepared for it; an Error names the key.

    Immutable, hashable, equal to one of the same keys. ``str(spec)`` is its JSON.
    """

    __slots__ = ("_keys", "_text")

    def __init__(self, **keys):
        if "pass" in keys:
            raise Error(NO_PASS)
        if "segment_len" in keys and "landmarks" not in keys:
            most = _MOST_LANDMARKS.get(keys.get("layout"))
            if keys.get("landmark_spacing") == "dyadic":
                most = _MOST_BLOCKS
            if most is not None:
                keys["landmarks"] = most
        self._keys = tuple(sorted(keys.items()))
        self._text = self.json()

    @classmethod
    def from_json(cls, text):
        """The spec of a JSON object."""
        try:
            pairs = json.loads(text, object_pairs_hook=_Pairs)
        except ValueError as error:
            raise Error(f"spec: expected a JSON object, found {error}") from None
        if not isinstance(pairs, _Pairs):
            raise Error(f"spec: expected a JSON object, found {text}")
        keys = dict(pairs)
        if len(keys) < len(pairs):
            names = [key for key, _ in pairs]
            twice = next(key for key in names if names.count(key) > 1)
            raise Error(f"{twice}: expected the key once in its object, found it twice")
        return cls(**keys)

    def replace(self, **keys):
        """A spec with other values for some keys; None takes a key out."""
        changed = {**dict(self._keys), **keys}
        return Spec(**{key: value for key, value in changed.items() if value is not None})

    def get(self, key, default=None):
        """The value of a key, or the default."""
        return dict(self._keys).get(key, default)

    def json(self, head_dim=None, dtype=None):
        """The spec as JSON, with these where it has none of its own."""
        keys = dict(self._keys)
        if head_dim is not None:
            keys.setdefault("head_dim", head_dim)
        if dtype is not None:
            keys.setdefault("dtype", dtype)
        return "{" + ",".join([f'"{k}":{_json(v)}' for k, v in sorted(keys.items())]) + "}"

    def __str__(self):
        return self._text

    def __repr__(self):
        return f"Spec({', '.join(f'{key}={value!r}' for key, value in self._keys)})"

    def __eq__(self, other):
        return isinstance(other, Spec) and self._keys == other._keys

    def __hash__(self):
        return hash(self._keys)

    def __reduce__(self):
        return _spec_of, (dict(self._keys),)


def _json(value):
    """Of a number or a word, in words that PyTorch's compiler can trace."""
    if isinstance(value, str) and value.replace("_", "").isalnum():
        return '"' + value + '"'
    if isinstance(value, (str, bool, type(None), list, dict)):
        return json.dumps(value)
    if str(value) in ("nan", "inf", "-inf"):  # which JSON has not: the library names them so
        return f'"{value}"'
    return str(value)


def _spec_of(keys):
    return Spec(**keys)


def prepare(spec, *, device="cpu", target=None, gradients=False):
    """Compiles a spec ahead, into the cache, so that its first run need not.

    spec: a Spec, or its JSON; it needs ``head_dim``, and ``dtype`` if that is not float32.
    device: "cpu", "cuda" or "ptx-emulator". target: as nysjit_prepare in nysjit.h; None: this
      one's.
    gradients: the programs of a training step, too.

    Returns a dict: ``key``, ``target``, ``spec``, ``config``, ``plan``, ``kernels``, ``cache``
    (where it was found: "memory", "bundle", "disk", "compiled"), ``compile_ms``, ``load_ms`` and
    more, as nysjit_program_info has them. Raises Error.
    """
    text = str(spec)
    found = _library.program_info(text, device, target)
    if gradients:
        for kind in ("saving", "backward"):
            _library.program_info(with_pass(text, kind), device, target)
    return found


def with_pass(text, kind):
    """The JSON of a spec with its ``pass``."""
    return json.dumps({**json.loads(text), "pass": kind})


def info():
    """What this package is: a dict of its version, the C ABI's, and the paths of its files."""
    return {
        "version": __version__,
        "abi_version": _library.library().nysjit_abi_version(),
        "library": str(_library.path("lib/libnysjit.so.0")),
        "command": str(_library.path("bin/nysjit")),
        "include_dir": include_dir(),
        "cmake_dir": cmake_dir(),
    }


def devices():
    """The devices there are, each a dict, as ``nysjit devices --json`` says them."""
    command = [_library.path("bin/nysjit"), "devices", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Error(done.stderr.strip())
    return json.loads(done.stdout)["devices"]


def include_dir():
    """The folder of nysjit.h, nysjit.hpp and nysjit_calibrate.h, for a compiler's -I."""
    return str(_library.path("include"))


def cmake_dir():
    """The folder of nysjitConfig.cmake, for CMake's nysjit_DIR."""
    return str(_library.path("lib/cmake/nysjit"))
