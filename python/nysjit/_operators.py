"""nysjit's operators of PyTorch: registered by libnysjit_hosts.so, which runs them, and completed
here by what they give for fake tensors, what vmap makes of them, and the gradient.

An operator takes q, k, v, what says where sequences lie (padded: seqlens and seq_starts; packed:
cu_seqlens), landmark_q, landmark_k, conv, source_len, then spec, scale and, with lengths,
max_length. ``_saving`` gives o as float32 and what gradients need; ``_backward`` takes dout, that o
and what was kept before, and at the end which gradients are wanted.

The gradient is an autograd.Function around operators, and not of theirs: one that is registered
costs some ten microseconds a call even where no gradient is asked for.
"""

import ctypes

import torch
from torch.autograd import forward_ad

from nysjit import Error, _library, _sizes

# How many tensors say where sequences lie.
LENGTHS = {"attention": 0, "attention_padded": 2, "attention_packed": 1}


def _register():
    hosts = ctypes.CDLL(str(_library.path("lib/libnysjit_hosts.so")))
    hosts.nysjit_torch_register.restype = ctypes.c_char_p
    problem = hosts.nysjit_torch_register()
    if problem:
        raise Error(problem.decode())


_register()
FORWARD = {name: getattr(torch.ops.nysjit, name).default for name in LENGTHS}
SAVING = {name: getattr(torch.ops.nysjit, name + "_saving").default for name in LENGTHS}
BACKWARD = {name: getattr(torch.ops.nysjit, name + "_backward").default for name in LENGTHS}


def needs_gradient(tensors):
    """Whether a gradient of any of these may be asked for, backwards or forwards."""
    if forward_ad._current_level >= 0:
        return True
    if torch.is_grad_enabled():
        for tensor in tensors:
            if tensor is not None and tensor.requires_grad:
                return True
    return False


def run(name, tensors, rest):
    """An operator, differentiably. tensors and rest: its arguments, the latter from spec on."""
    if not needs_gradient(tensors):
        return FORWARD[name](*tensors, *rest)
    if torch._C._are_functorch_transforms_active():
        return TransformedAttention.apply(name, rest, *tensors)[0]
    return Attention.apply(name, rest, *tensors)


class Attention(torch.autograd.Function):
    """In the style of forward(ctx, ...): with setup_context, apply costs 48 microseconds more."""

    @staticmethod
    def forward(ctx, name, rest, *tensors):
        o, saved = SAVING[name](*tensors, *rest)
        ctx.save_for_backward(*tensors, o, saved)
        ctx.name = name
        ctx.rest = rest
        return o.to(tensors[0].dtype)

    @staticmethod
    def backward(ctx, dout):
        return gradients(ctx, dout)


class TransformedAttention(torch.autograd.Function):
    """The same for torch.func, which wants setup_context and all that is kept among the outputs."""

    generate_vmap_rule = True

    @staticmethod
    def forward(name, rest, *tensors):
        o, saved = SAVING[name](*tensors, *rest)
        return o.to(tensors[0].dtype, copy=True), o, saved

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.name, ctx.rest, *tensors = inputs
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(*tensors, *output[1:])

    @staticmethod
    def backward(ctx, dout, *_):
        return gradients(ctx, dout)


def gradients(ctx, dout):
    """What backward returns: None for each argument that is no tensor or whose gradient no one
    asks."""
    *tensors, o, saved = ctx.saved_tensors
    first = 3 + LENGTHS[ctx.name]
    places = (0, 1, 2, first, first + 1, first + 2)
    asked = [ctx.needs_input_grad[2 + place] for place in places]
    wanted = sum(1 << i for i in range(len(places)) if asked[i])
    found = BACKWARD[ctx.name](dout, o, saved, *tensors, *ctx.rest, wanted)
    if torch.is_grad_enabled() and not torch.compiler.is_compiling():
        differentiable = [tensor for tensor in (dout, *tensors) if tensor is not None]
        found = Refusal.apply(len(differentiable), *differentiable, *found)
    result = [None] * len(tensors)
    for i, place in enumerate(places):
        if asked[i]:
            result[place] = found[i]
    return None, None, *result


class Refusal(torch.autograd.Function):
    """Gradients that depend on tensors and cannot be differentiated by them."""

    generate_vmap_rule = True

    @staticmethod
    def forward(count, *tensors):
        return tuple(tensor.clone() for tensor in tensors[count:])

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, *_):
        raise RuntimeError(
            "nysjit.torch.attention: expected to be differentiated once, found the gradient of its "
            "gradient asked for"
        )


# Fake tensors: shapes, strides and sizes, without running anything.


def _like(tensor, dtype):
    """Compact, and in the order of the tensor's memory, as libnysjit_hosts.so makes it."""
    shape = tensor.shape
    if tensor.dim() == 4 and tensor.stride(1) < tensor.stride(2):
        _, heads, rows, size = shape
        strides = (heads * rows * size, size, heads * size, 1)
        return torch.empty_strided(shape, strides, dtype=dtype, device=tensor.device)
    return torch.empty(shape, dtype=dtype, device=tensor.device)


def _fake_forward(q, *_):
    return _like(q, q.dtype)


def _fake_saving(name, *arguments):
    count = 7 + LENGTHS[name]
    tensors, (spec, _, *most) = arguments[:count], arguments[count:]
    q = tensors[0]
    given = {
        "attention": (),
        "attention_padded": ("seqlens", "seq_starts"),
        "attention_packed": ("cu_seqlens",),
    }[name]
    names = ("q", "k", "v", *given, "landmark_q", "landmark_k", "conv", "source_len")
    shapes = {name: t.shape for name, t in zip(names, tensors) if t is not None}
    device = "cuda" if q.device.type == "cuda" else "cpu"
    count = _sizes.saved_bytes(
        spec, device, shapes, most[0] if most else 0, torch.sym_min, torch.sym_max
    )
    return _like(q, torch.float32), q.new_empty((count,), dtype=torch.uint8)


def _fake_backward(name, dout, o, saved, q, k, v, *others):
    first = LENGTHS[name]
    wanted = others[-1]
    tensors = (q, k, v, *others[first : first + 3])
    dtype = q.dtype
    return tuple(
        (
            _like(tensor, dtype)
            if tensor is not None and wanted >> i & 1
            else q.new_empty((0,), dtype=dtype)
        )
        for i, tensor in enumerate(tensors)
    )


# vmap: another axis of the batch, where the parameters have none; else one call after the other.


def _in_batch(tensor, dim, size):
    if tensor is None:
        return None
    if dim is None:
        return tensor.unsqueeze(0).expand(size, *tensor.shape).flatten(0, 1)
    return tensor.movedim(dim, 0).flatten(0, 1)


def _vmap_forward(name, info, dims, *arguments):
    first = 3 + LENGTHS[name]
    parameters = slice(first, first + 3)
    if name == "attention_packed" or any(dim is not None for dim in dims[parameters]):
        return _vmap_each(FORWARD[name], info, dims, *arguments)
    size = info.batch_size
    folded = list(arguments)
    for i in (*range(first), first + 3):
        folded[i] = _in_batch(arguments[i], dims[i], size)
    return FORWARD[name](*folded).unflatten(0, (size, -1)), 0


def _vmap_each(operator, info, dims, *arguments):
    results = []
    for i in range(info.batch_size):
        one = [x if dim is None else x.select(dim, i) for x, dim in zip(arguments, dims)]
        results.append(operator(*one))
    if isinstance(results[0], tuple):
        stacked = tuple(torch.stack(parts) for parts in zip(*results))
        return stacked, (0,) * len(stacked)
    return torch.stack(results), 0


def _complete(name):
    register_fake = torch.library.register_fake
    register_vmap = torch.library.register_vmap
    register_fake(f"nysjit::{name}", _fake_forward)
    register_fake(f"nysjit::{name}_saving", lambda *a: _fake_saving(name, *a))
    register_fake(f"nysjit::{name}_backward", lambda *a: _fake_backward(name, *a))
    register_vmap(f"nysjit::{name}", lambda *a: _vmap_forward(name, *a))
    register_vmap(f"nysjit::{name}_saving", lambda *a: _vmap_each(SAVING[name], *a))
    register_vmap(f"nysjit::{name}_backward", lambda *a: _vmap_each(BACKWARD[name], *a))


for _name in LENGTHS:
    _complete(_name)
