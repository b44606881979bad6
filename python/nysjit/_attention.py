"""The function attention: from what a caller writes to an operator's arguments."""

import torch
from torch.autograd import forward_ad

from nysjit import Error, Spec, _operators
from nysjit._specs import spec_of

# The JSON of keywords that have run, by their items; and the last ones, which are found sooner.
_texts = {}
_last = ({}, None)

# What a plain call asks, under names that are looked up at once. An operator's own function is what
# a call of it calls; compilers take the operator alone.
_plain = _operators.FORWARD["attention"]
_direct = _plain._op
_is_autocast = torch._C._is_any_autocast_enabled
_is_dynamo = torch.compiler.is_dynamo_compiling
_is_grad_enabled = torch.is_grad_enabled
_Tensor = torch.Tensor


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
    scale: of q k, a number; None: 1 / sqrt(d). One that is learned is a factor of q instead.
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
    # Each line up to the plain call costs it: together 0.6 us, and with keywords 0.9
    # (bench/python_overhead.py).
    is_traced = _is_dynamo()
    if is_traced or _is_autocast():
        q, k, v, landmark_q, landmark_k, conv = _cast(q, k, v, landmark_q, landmark_k, conv)
    text = None
    is_remembered = spec is None and not is_traced  # a graph may not change what lies outside of it
    if is_traced:
        text = str(spec_of(spec, keys))
    elif is_remembered:
        try:
            known, text = _last
            if keys != known:
                text = _recall(keys)
        except (RuntimeError, TypeError, ValueError):  # of values that no key may have
            text = None
    elif type(spec) is Spec and not keys:
        text = spec._text
    has_no_lengths = seqlens is None and cu_seqlens is None and seq_starts is None
    is_dense = has_no_lengths and max_length is None
    if scale is not None and isinstance(scale, _Tensor) and scale.requires_grad:
        raise Error(
            "scale: expected a number, found a tensor whose gradient is asked for, and there is "
            "none: multiply q by it instead"
        )
    has_none = landmark_q is None and landmark_k is None and conv is None and source_len is None
    if is_dense and has_none and text is not None:
        try:
            needs_gradient = _is_grad_enabled() and (
                q.requires_grad or k.requires_grad or v.requires_grad
            )
        except AttributeError:
            needs_gradient = True  # of what is no tensor, which is refused below
        if not needs_gradient and forward_ad._current_level < 0:
            operator = _plain if is_traced else _direct
            return operator(q, k, v, text, scale)
    if text is None:
        text = str(spec_of(spec, keys))
    if not (isinstance(q, _Tensor) and isinstance(k, _Tensor) and isinstance(v, _Tensor)):
        _check_tensors(q=q, k=k, v=v)
    parameters = ()
    if not has_none:
        given = {"landmark_q": landmark_q, "landmark_k": landmark_k, "conv": conv}
        _check_tensors(**{name: x for name, x in given.items() if x is not None})
        source_len = _int32("source_len", source_len)
        parameters = _operators.given(landmark_q, landmark_k, conv, source_len)
    if is_dense:
        name = "attention_with_parameters" if parameters else "attention"
        o = _operators.run(name, (q, k, v), (text, scale), parameters)
    else:
        lengths = (seqlens, seq_starts, cu_seqlens, max_length)
        o = _run_sequences(q, k, v, lengths, (text, scale), parameters)
    if is_remembered:  # now: what is refused may not stand for what equals it, 1.0 for 1
        _remember(keys, text)
    return o


def _recall(keys):
    global _last
    text = _texts.get(tuple(keys.items()))
    if text is not None:
        _last = (keys, text)
    return text


def _remember(keys, text):
    global _last
    _last = (keys, text)
    _texts[tuple(keys.items())] = text


def _cast(*tensors):
    """To autocast's dtype, if it is on for their device."""
    q = tensors[0]
    if not isinstance(q, _Tensor):
        return tensors
    device = "cpu" if q.is_cpu else "cuda" if q.is_cuda else None
    if device is None or not torch.is_autocast_enabled(device):
        return tensors
    dtype = torch.get_autocast_dtype(device)
    return tuple([x.to(dtype) if isinstance(x, _Tensor) else x for x in tensors])


def _check_tensors(**given):
    for name, x in given.items():
        if not isinstance(x, _Tensor):
            raise Error(f"{name}: expected a tensor, found {type(x).__name__}")


def _run_sequences(q, k, v, lengths, options, parameters):
    """Attention of padded or packed sequences."""
    seqlens, seq_starts, cu_seqlens, max_length = lengths
    if cu_seqlens is not None:
        if seqlens is not None or seq_starts is not None:
            raise Error("cu_seqlens: expected None with seqlens or seq_starts, found a tensor")
        name = "attention_packed"
        tensors = (q, k, v, _int32("cu_seqlens", cu_seqlens))
        rows = _longest(cu_seqlens, q) if max_length is None else max_length
    else:
        if seqlens is None:
            name = "max_length" if seq_starts is None else "seq_starts"
            found = "a number" if seq_starts is None else "a tensor"
            raise Error(f"{name}: expected None without seqlens, found {found}")
        name = "attention_padded"
        tensors = (q, k, v, _int32("seqlens", seqlens), _int32("seq_starts", seq_starts))
        rows = q.shape[-2] if max_length is None else max_length
    return _operators.run(name, tensors, (rows, *options), parameters)


def _name(dtype):
    return str(dtype).removeprefix("torch.")


def _int32(name, lengths):
    """As the library takes them. What int32 has no room for becomes the nearest that it has, which
    no sequence reaches, so that it is refused and not wrapped to what may be a length."""
    if lengths is None:
        return None
    if not isinstance(lengths, _Tensor):
        raise Error(f"{name}: expected a tensor of integers, found {type(lengths).__name__}")
    dtype = lengths.dtype
    if dtype == torch.int32:
        return lengths
    if dtype.is_floating_point or dtype.is_complex or dtype == torch.bool:
        raise Error(f"{name}.dtype: expected integers, found {_name(dtype)}")
    return lengths.to(torch.int64).clamp(-(2**31), 2**31 - 1).to(torch.int32)


def _longest(cu_seqlens, q):
    """The longest of packed sequences where it can be looked up without waiting, else all rows."""
    is_here = type(cu_seqlens) is torch.Tensor and cu_seqlens.device.type == "cpu"
    if torch.compiler.is_compiling() or not is_here or cu_seqlens.numel() < 2:
        return q.shape[0]
    return max(1, int(cu_seqlens.diff().max()))
