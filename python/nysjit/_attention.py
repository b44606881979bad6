"""The function attention: from what a caller writes to an operator's arguments."""

import torch
from torch.autograd import forward_ad

from nysjit import Error, Spec, _operators
from nysjit._specs import spec_of

DTYPES = {torch.float32: "float32", torch.float16: "float16", torch.bfloat16: "bfloat16"}

_dense = _operators.FORWARD["attention"]
_is_autocast_enabled = torch.is_autocast_enabled
_is_grad_enabled = torch.is_grad_enabled


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

    Tensors are on the CPU or a CUDA device, of float32, float16 or bfloat16, all of one dtype;
    under autocast they are cast to its dtype. Strides are as they come: views of a fused qkv
    projection are not copied, nor are keys and values repeated for grouped queries.

    q: [B, Hq, n, d] (usually a view of [B, n, Hq, d]), or packed [total, Hq, d]; d a multiple of 8
      from 16 to 256.
    k, v: [B, Hkv, n, d], or packed [total, Hkv, d]; Hkv divides Hq.
    spec: a nysjit.Spec, or its JSON; or None, and the keys of docs/spec.md as keyword arguments:
      ``layout="causal", segment_len=64``. head_dim and dtype are the tensors' where they are left
      out.
    scale: of q k; None: 1 / sqrt(d).
    landmark_q: [Hq, r, d], the probes of ``causal`` with ``landmark_source="learned"``; or
      [Hq, m, d], the landmarks' queries of ``scan``, with landmark_k: [Hkv, m, d].
    conv: [Hq, c], the taps, with ``conv_kernel``.
    source_len: [B] integers, the source's positions of each sequence (``prefix_lm``).
    seqlens, seq_starts: [B] integers: of a padded batch the length of each sequence, and where it
      starts (None: at 0). Elsewhere nothing is read, and the output is 0.
    cu_seqlens: [B + 1] integers, where packed sequences start and end: 0, ..., total.
    max_length: no sequence is longer; None: all rows there are, but for packed sequences in eager
      code on the CPU what cu_seqlens says. Give it for packed ones elsewhere: it sizes memory.

    Returns [B, Hq, n, d], or packed [total, Hq, d], of q's dtype; in memory in the order of q's.
    Differentiable once by q, k, v, landmark_q, landmark_k and conv; asking for the gradient of a
    gradient raises. Same inputs give the same bits, for any number of threads.

    Raises RuntimeError, which names the argument or key, what was expected and what was found.
    """
    # Each line up to the plain call costs it: together 0.8 us (bench/python_overhead.py).
    device = "cpu" if q.is_cpu else "cuda" if q.is_cuda else None
    if device is not None and _is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        q, k, v = q.to(dtype), k.to(dtype), v.to(dtype)
        landmark_q, landmark_k, conv = (
            None if tensor is None else tensor.to(dtype)
            for tensor in (landmark_q, landmark_k, conv)
        )
    text = None
    if type(spec) is Spec and not keys:
        text = spec._texts.get((q.shape[-1], q.dtype))
    if text is None:
        text = _text(spec, keys, q)
    is_plain = seqlens is None and cu_seqlens is None and seq_starts is None and conv is None
    if is_plain and landmark_q is None and landmark_k is None and source_len is None:
        needs_gradient = _is_grad_enabled() and (
            q.requires_grad or k.requires_grad or v.requires_grad
        )
        if not needs_gradient and forward_ad._current_level < 0:
            return _dense(q, k, v, None, None, None, None, text, scale)
    parameters = (landmark_q, landmark_k, conv, _int32("source_len", source_len))
    if seqlens is None and cu_seqlens is None:
        if seq_starts is not None:
            raise Error("seq_starts: expected None without seqlens, found a tensor")
        return _operators.run("attention", (q, k, v, *parameters), (text, scale))
    if cu_seqlens is None:
        tensors = (
            q,
            k,
            v,
            _int32("seqlens", seqlens),
            _int32("seq_starts", seq_starts),
            *parameters,
        )
        rest = (text, scale, q.shape[-2] if max_length is None else max_length)
        return _operators.run("attention_padded", tensors, rest)
    if seqlens is not None or seq_starts is not None:
        raise Error("cu_seqlens: expected None with seqlens or seq_starts, found a tensor")
    tensors = (q, k, v, _int32("cu_seqlens", cu_seqlens), *parameters)
    rest = (text, scale, _longest(cu_seqlens, q) if max_length is None else max_length)
    return _operators.run("attention_packed", tensors, rest)


def _text(spec, keys, q):
    """The JSON of what is asked for, with the tensors' head dimension and dtype."""
    dtype = DTYPES.get(q.dtype)
    if dtype is None:
        raise Error(f"q.dtype: expected float32, float16 or bfloat16, found {_name(q.dtype)}")
    may_keep = not torch.compiler.is_compiling()
    spec = spec_of(spec, keys, may_keep)
    if not isinstance(spec, Spec):
        return spec
    place = (q.shape[-1], q.dtype)
    text = spec._texts.get(place)
    if text is None:
        text = spec.json(q.shape[-1], dtype)
        if may_keep:
            spec._texts[place] = text
    return text


def _name(dtype):
    return str(dtype).removeprefix("torch.")


def _int32(name, lengths):
    if lengths is None or lengths.dtype == torch.int32:
        return lengths
    if lengths.dtype.is_floating_point or lengths.dtype.is_complex:
        raise Error(f"{name}.dtype: expected integers, found {_name(lengths.dtype)}")
    return lengths.to(torch.int32)


def _longest(cu_seqlens, q):
    """The longest of packed sequences where it can be looked up without waiting, else all rows."""
    is_here = type(cu_seqlens) is torch.Tensor and cu_seqlens.device.type == "cpu"
    if torch.compiler.is_compiling() or not is_here or cu_seqlens.numel() < 2:
        return q.shape[0]
    return max(1, int(cu_seqlens.diff().max()))
