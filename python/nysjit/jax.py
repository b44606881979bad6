"""Attention for JAX, on CPUs: one function, for jit, grad and vmap.

::

    from nysjit.jax import attention
    o = attention(q, k, v, layout="causal", segment_len=64)

It is a call of XLA's foreign function interface to compiled code. What can be checked is checked
when a function is traced, where the program is compiled, too, or found in the cache on disk.
"""

import ctypes
import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy

from nysjit import Error, Spec, _library, with_pass
from nysjit._specs import spec_of

__all__ = ["attention"]

# In the order of hosts/tensors.h.
_TENSORS = ("dout", "o", "saved", "q", "k", "v", "seqlens", "seq_starts", "cu_seqlens",
            "landmark_q", "landmark_k", "conv", "source_len")  # fmt: skip
_WITH_GRADIENT = ("q", "k", "v", "landmark_q", "landmark_k", "conv")
_LENGTHS = ("seqlens", "seq_starts", "cu_seqlens", "source_len")
_PASSES = ("forward", "saving", "backward")
_CODES = {"float32": (2, 32), "float16": (2, 16), "bfloat16": (4, 16), "int32": (0, 32)}
_TARGET = "nysjit_attention"
_HEADS_INSIDE = (0, 2, 1, 3)  # [B, H, n, d] in memory as [B, n, H, d]


def _register():
    hosts = ctypes.CDLL(str(_library.path("lib/libnysjit_hosts.so")))
    jax.ffi.register_ffi_target(
        _TARGET, jax.ffi.pycapsule(hosts.nysjit_xla_attention), platform="cpu"
    )


_register()


def attention(
    q,
    k,
    v,
    spec=None,
    *,
    scale=None,
    landmark_q=None,
    landmark_k=None,
    conv=None,
    source_len=None,
    seqlens=None,
    seq_starts=None,
    cu_seqlens=None,
    max_length=None,
    **keys,
):
    """Attention of the queries q over the keys k and the values v, as the spec says.

    Arrays are of float32, float16 or bfloat16, all of one dtype. They are best the transposes of
    projections, ``x.reshape(B, n, H, d).swapaxes(1, 2)``: that is the order in memory that is read,
    so that inside jit rows are not transposed.

    q: [B, Hq, n, d], or packed [total, Hq, d]; d a multiple of 8 from 16 to 256.
    k, v: [B, Hkv, n, d], or packed [total, Hkv, d]; Hkv divides Hq.
    spec: a nysjit.Spec, or its JSON; or None, and the keys of docs/spec.md as keyword arguments:
      ``layout="causal", segment_len=64``. head_dim and dtype are the arrays' where they are left
      out.
    scale: of q k, a number; None: 1 / sqrt(d).
    landmark_q: [Hq, r, d], the probes of ``causal`` with ``landmark_source="learned"``; or
      [Hq, m, d], the landmarks' queries of ``scan``, with landmark_k: [Hkv, m, d].
    conv: [Hq, c], the taps, with ``conv_kernel``.
    source_len: [B] integers, the source's positions of each sequence (``prefix_lm``).
    seqlens, seq_starts: [B] integers: of a padded batch the length of each sequence, and where it
      starts (None: at 0). Elsewhere nothing is read, and the output is 0.
    cu_seqlens: [B + 1] integers, where packed sequences start and end: 0, ..., total.
    max_length: no sequence is longer, an int; None: all rows there are. It sizes memory.

    Returns [B, Hq, n, d], or packed [total, Hq, d], of q's dtype. Differentiable once, in reverse,
    by q, k, v, landmark_q, landmark_k and conv. Under vmap another axis is more of the batch, or,
    in training and where parameters or packed sequences are mapped, one run after the other.

    Raises nysjit.Error while tracing, which names the argument or key, what was expected and what
    was found; of lengths, whose values only a run knows, it is JAX's error with the same text.
    """
    given = {"q": q, "k": k, "v": v, "seqlens": seqlens, "seq_starts": seq_starts,
             "cu_seqlens": cu_seqlens, "landmark_q": landmark_q, "landmark_k": landmark_k,
             "conv": conv, "source_len": source_len}  # fmt: skip
    arrays = {
        name: _int32(name, array) if name in _LENGTHS else jnp.asarray(array)
        for name, array in given.items()
        if array is not None
    }
    if seq_starts is not None and seqlens is None:
        raise Error("seq_starts: expected None without seqlens, found an array")
    if cu_seqlens is not None and seqlens is not None:
        raise Error("cu_seqlens: expected None with seqlens or seq_starts, found an array")
    text = _text(spec, keys, arrays["q"])
    has_lengths = seqlens is not None or cu_seqlens is not None
    if max_length is None and has_lengths:
        max_length = _longest(arrays["q"].shape, cu_seqlens)
    call = _Call(text, None if scale is None else float(scale), tuple(arrays), max_length or 0)
    return _attention(call, tuple(arrays.values()))


def _text(spec, keys, q):
    """The JSON of what is asked for, with the arrays' head dimension and dtype."""
    dtype = q.dtype.name
    if dtype not in ("float32", "float16", "bfloat16"):
        raise Error(f"q.dtype: expected float32, float16 or bfloat16, found {dtype}")
    spec = spec_of(spec, keys)
    if not isinstance(spec, Spec):
        return spec
    return spec.json(q.shape[-1] if q.ndim else None, dtype)


def _longest(shape, cu_seqlens):
    """The longest sequence where that is known while tracing, else all rows."""
    if cu_seqlens is not None and not isinstance(cu_seqlens, jax.core.Tracer):
        return max([1, *numpy.diff(numpy.asarray(cu_seqlens)).tolist()])
    return max(1, *shape[:1] if cu_seqlens is not None else shape[2:3])


def _int32(name, lengths):
    """As the library takes them. What int32 has no room for becomes the nearest that it has, which
    no sequence reaches, so that it is refused and not wrapped to what may be a length."""
    if not isinstance(lengths, jax.Array):  # where JAX has 32 bits alone it would wrap numpy's
        lengths = numpy.asarray(lengths)
    if not jnp.issubdtype(lengths.dtype, jnp.integer):
        raise Error(f"{name}.dtype: expected integers, found {lengths.dtype.name}")
    least, most = (getattr(jnp.iinfo(lengths.dtype), end) for end in ("min", "max"))
    return jnp.asarray(lengths.clip(max(least, -(2**31)), min(most, 2**31 - 1)), jnp.int32)


@dataclasses.dataclass(frozen=True)
class _Call:
    """What is known of a call while it is traced, beside its arrays."""

    text: str
    scale: float | None
    names: tuple  # of the arrays
    max_length: int


# The library's own checks, on shapes alone.


class _RunArgs(_library.RunArgs):
    """nysjit_run_args to its end."""

    _fields_ = [
        ("dlandmark_q", _library.POINTER),
        ("dlandmark_k", _library.POINTER),
        ("dconv", _library.POINTER),
        ("saved", ctypes.c_void_p),
        ("saved_size", ctypes.c_size_t),
    ]


@functools.cache
def _program(text, pass_):
    """A program, kept for the process's life, as those of runs are."""
    program = ctypes.c_void_p()
    text = text if pass_ == "forward" else with_pass(text, pass_)
    prepare = _library.library().nysjit_prepare
    context = _library.context("cpu")
    _library.check(prepare(context, text.encode(), None, None, ctypes.byref(program)))
    return program


def _shapes(arrays):
    return tuple((tuple(array.shape), array.dtype.name) for array in arrays)


def _ask(function, call, pass_, shapes):
    """A size that a run of these would have; raises what is wrong with them."""
    keep = []

    def view(shape, dtype):
        code, bits = _CODES.get(dtype, (3, 64))
        extents = (ctypes.c_int64 * len(shape))(*shape)
        tensor = _library.DLTensor(None, 1, 0, len(shape), code, bits, 1, extents, None, 0)
        keep.extend((extents, tensor))
        return ctypes.pointer(tensor)

    args = _RunArgs(size=ctypes.sizeof(_RunArgs), max_length=call.max_length)
    for name, (shape, dtype) in zip(call.names, shapes):
        setattr(args, name, view(shape, dtype))
    args.o = view(*shapes[0])
    found = ctypes.c_size_t()
    ask = getattr(_library.library(), function)
    try:
        _library.check(ask(_program(call.text, pass_), ctypes.byref(args), ctypes.byref(found)))
    except Error as error:
        raise Error(str(error).replace("NULL", "None"), error.status, error.kind) from None
    return found.value


@functools.lru_cache(1024)
def _check(call, shapes):
    _ask("nysjit_workspace_size", call, "forward", shapes)


@functools.lru_cache(1024)
def _saved_bytes(call, shapes):
    """Of `saved`; some even where a program keeps nothing, for it is given a place to."""
    return max(64, _ask("nysjit_saved_size", call, "saving", shapes))


# The call, and its gradient.


def _run(call, pass_, arrays, results):
    """The foreign function. arrays: {name: array} in the order of _TENSORS. results: [(name, shape,
    dtype)]."""
    is_packed = "cu_seqlens" in arrays

    def layout(name, rank):
        has_heads = name in ("dout", "o", "q", "k", "v") and not is_packed
        return _HEADS_INSIDE if has_heads else tuple(range(rank))

    attributes = {
        "spec": call.text,
        "pass": numpy.int64(_PASSES.index(pass_)),
        "given": numpy.int64(sum(1 << _TENSORS.index(name) for name in arrays)),
        "max_length": numpy.int64(call.max_length),
    }
    if call.scale is not None:
        attributes["scale"] = numpy.float32(call.scale)
    run = jax.ffi.ffi_call(
        _TARGET,
        [jax.ShapeDtypeStruct(shape, dtype) for _, shape, dtype in results],
        vmap_method="expand_dims",
        input_layouts=[layout(name, array.ndim) for name, array in arrays.items()],
        output_layouts=[layout(name, len(shape)) for name, shape, _ in results],
    )
    return run(*arrays.values(), **attributes)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _attention(call, arrays):
    _check(call, _shapes(arrays))
    q = arrays[0]
    return _run(call, "forward", dict(zip(call.names, arrays)), [("o", q.shape, q.dtype)])[0]


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2, 3))
def _run_once(call, pass_, names, results, arrays):
    """_run, whose results have no derivative."""
    return _run(call, pass_, dict(zip(names, arrays)), results)


@_run_once.defjvp
def _refuse(*_):
    raise Error(
        "nysjit.jax.attention: expected to be differentiated once, found the gradient of its "
        "gradient asked for"
    )


def _forward(call, arrays):
    q = arrays[0]
    count = _saved_bytes(call, _shapes(arrays))
    results = (("o", q.shape, "float32"), ("saved", (count,), "uint8"))
    o, saved = _run_once(call, "saving", call.names, results, arrays)
    return o.astype(q.dtype), (arrays, o, saved)


def _backward(call, kept, dout):
    arrays, o, saved = kept
    given = dict(zip(call.names, arrays))
    wanted = [name for name in _WITH_GRADIENT if name in given]
    results = tuple((name, given[name].shape, given[name].dtype.name) for name in wanted)
    names = ("dout", "o", "saved", *call.names)
    found = _run_once(call, "backward", names, results, (dout, o, saved, *arrays))
    by_name = dict(zip(wanted, found))
    cotangents = [
        by_name[name] if name in by_name else numpy.zeros(array.shape, jax.dtypes.float0)
        for name, array in given.items()
    ]
    return (tuple(cotangents),)


_attention.defvjp(_forward, _backward)
