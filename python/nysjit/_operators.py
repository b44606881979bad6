"""nysjit's operators of PyTorch: registered by libnysjit_hosts.so, which runs them, and completed
here by what they give for fake tensors, what vmap makes of them, and the gradient.

An operator takes q, k, v, what says where sequences lie (padded: seqlens and seq_starts; packed:
cu_seqlens), with lengths max_length, then spec, scale, and as far as there are any the parameters
landmark_q, landmark_k, conv, source_len. ``_saving`` gives o as float32 and what gradients need;
``_backward`` takes dout, that o and what was kept before all these, and before max_length or spec
which gradients are wanted.

The gradient is an autograd.Function around operators, and not of theirs: one that is registered
costs some ten microseconds a call even where no gradient is asked for.
"""

import ctypes

import torch
from torch.autograd import forward_ad

from nysjit import Error, _library, _sizes

DTYPES = {torch.float32: "float32", torch.float16: "float16", torch.bfloat16: "bfloat16"}
# Which tensors say where sequences lie.
LENGTHS = {
    "attention": (),
    "attention_with_parameters": (),
    "attention_padded": ("seqlens", "seq_starts"),
    "attention_packed": ("cu_seqlens",),
}
PARAMETERS = ("landmark_q", "landmark_k", "conv", "source_len")  # of all but attention
# Tensors before the other arguments, and how many of those there are before the parameters.
FIRST = {name: 3 + len(lengths) for name, lengths in LENGTHS.items()}
OPTIONS = {name: 3 if lengths else 2 for name, lengths in LENGTHS.items()}


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


def given(*parameters):
    """The parameters up to the last one that there is."""
    count = len(parameters)
    while count > 0 and parameters[count - 1] is None:
        count -= 1
    return parameters[:count]


def run(name, tensors, options, parameters):
    """An operator, differentiably.

    tensors: q, k, v and where sequences lie. options: max_length with lengths, spec, scale.
    """
    if not needs_gradient(tensors) and not needs_gradient(parameters):
        return FORWARD[name](*tensors, *options, *parameters)
    if torch._C._are_functorch_transforms_active():
        return TransformedAttention.apply(name, options, *tensors, *parameters)[0]
    if torch.compiler.is_dynamo_compiling():
        tensors = _distinct(*tensors)
    return Attention.apply(name, options, *tensors, *parameters)


def _distinct(q, k, v, *lengths):
    """None of q, k, v twice, which torch.compile does not take from a Function's arguments."""
    if v is q or v is k:
        v = v.view_as(v)
    if k is q:
        k = k.view_as(k)
    return q, k, v, *lengths


def _save(name, options, tensors):
    first = FIRST[name]
    return SAVING[name](*tensors[:first], *options, *tensors[first:])


class Attention(torch.autograd.Function):
    """In the style of forward(ctx, ...): with setup_context, apply costs 48 microseconds more."""

    @staticmethod
    def forward(ctx, name, options, *tensors):
        o, saved = _save(name, options, tensors)
        ctx.save_for_backward(*tensors, o, saved)
        ctx.name = name
        ctx.options = options
        dtype = tensors[0].dtype
        return o if dtype == torch.float32 else o.to(dtype)

    @staticmethod
    def backward(ctx, dout):
        return gradients(ctx, dout)


class TransformedAttention(torch.autograd.Function):
    """The same for torch.func, which wants setup_context and all that is kept among the outputs."""

    generate_vmap_rule = True

    @staticmethod
    def forward(name, options, *tensors):
        o, saved = _save(name, options, tensors)
        return o.to(tensors[0].dtype, copy=True), o, saved

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.name, ctx.options, *tensors = inputs
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(*tensors, *output[1:])

    @staticmethod
    def backward(ctx, dout, *_):
        return gradients(ctx, dout)


def gradients(ctx, dout):
    """What backward returns: None for each argument that is no tensor or whose gradient no one
    asks."""
    *tensors, o, saved = ctx.saved_tensors
    first = FIRST[ctx.name]
    asked = ctx.needs_input_grad
    count = len(tensors)
    places = [place for place in (0, 1, 2, first, first + 1, first + 2) if place < count]
    wanted = 0
    for i, place in enumerate(places):
        if asked[2 + place]:
            wanted |= 1 << i
    found = BACKWARD[ctx.name](
        dout, o, saved, *tensors[:first], wanted, *ctx.options, *tensors[first:]
    )
    if torch.is_grad_enabled() and not torch.compiler.is_compiling():
        differentiable = [tensor for tensor in (dout, *tensors) if tensor is not None]
        found = Refusal.apply(len(differentiable), *differentiable, *found)
    result = [None] * (2 + count)
    for i, place in enumerate(places):
        if asked[2 + place]:
            result[2 + place] = found[i]
    return tuple(result)


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


def _dtype_name(q):
    name = DTYPES.get(q.dtype)
    if name is None:
        found = str(q.dtype).removeprefix("torch.")
        raise Error(f"q.dtype: expected float32, float16 or bfloat16, found {found}")
    return name


def _named(operator, tensors, parameters):
    """{name: tensor} of those given. All are where q is: PyTorch asks for a fake result where any
    tensor is one without memory ("meta"), and with a q that has some it would be taken for real."""
    names = ("q", "k", "v", *LENGTHS[operator], *PARAMETERS)
    found = {name: x for name, x in zip(names, (*tensors, *parameters)) if x is not None}
    device = found["q"].device.type
    for name, tensor in found.items():
        if tensor.device.type != device:
            raise Error(f"{name}.device: expected {device}, as q, found {tensor.device.type}")
    return found


def _fake_forward(name, *arguments):
    tensors, _, parameters = _parts(name, arguments)
    q = _named(name, tensors, parameters)["q"]
    _dtype_name(q)
    return _like(q, q.dtype)


def _parts(name, arguments):
    """(tensors, options, parameters) of an operator's arguments, with those that were left out."""
    first = FIRST[name]
    last = first + OPTIONS[name]
    missing = last + len(PARAMETERS) - len(arguments)
    arguments = (*arguments, *(None,) * missing)
    return arguments[:first], arguments[first:last], arguments[last:]


def _fake_saving(name, *arguments):
    tensors, options, parameters = _parts(name, arguments)
    q = tensors[0]
    shapes = {key: tensor.shape for key, tensor in _named(name, tensors, parameters).items()}
    *most, spec, _ = options
    device = "cuda" if q.device.type == "cuda" else "cpu"
    spec = _sizes.completed(spec, int(q.shape[-1]), _dtype_name(q))
    count = _sizes.saved_bytes(
        spec, device, shapes, most[0] if most else 0, torch.sym_min, torch.sym_max
    )
    return _like(q, torch.float32), q.new_empty((count,), dtype=torch.uint8)


def _fake_backward(name, dout, o, saved, *arguments):
    first = FIRST[name]
    wanted = arguments[first]
    tensors, _, parameters = _parts(name, (*arguments[:first], *arguments[first + 1 :]))
    q = _named(name, tensors, parameters)["q"]
    return tuple(
        (
            _like(tensor, q.dtype)
            if tensor is not None and wanted >> i & 1
            else q.new_empty((0,), dtype=q.dtype)
        )
        for i, tensor in enumerate((*tensors[:3], *parameters[:3]))
    )


# vmap: another axis of the batch, where the parameters have none; else one call after the other.


def _in_batch(tensor, dim, size):
    if tensor is None:
        return None
    if dim is None:
        return tensor.unsqueeze(0).expand(size, *tensor.shape).flatten(0, 1)
    return tensor.movedim(dim, 0).flatten(0, 1)


def _vmap_forward(name, info, dims, *arguments):
    first = FIRST[name]
    after = first + OPTIONS[name]
    source = after + PARAMETERS.index("source_len")
    is_shared = all(dim is None for dim in dims[after:source])
    if name == "attention_packed" or not is_shared:
        return _vmap_each(FORWARD[name], info, dims, *arguments)
    size = info.batch_size
    folded = list(arguments)
    for i in (*range(first), *range(source, len(arguments))):
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
    register_fake(f"nysjit::{name}", lambda *a: _fake_forward(name, *a))
    register_fake(f"nysjit::{name}_saving", lambda *a: _fake_saving(name, *a))
    register_fake(f"nysjit::{name}_backward", lambda *a: _fake_backward(name, *a))
    register_vmap(f"nysjit::{name}", lambda *a: _vmap_forward(name, *a))
    register_vmap(f"nysjit::{name}_saving", lambda *a: _vmap_each(SAVING[name], *a))
    register_vmap(f"nysjit::{name}_backward", lambda *a: _vmap_each(BACKWARD[name], *a))


for _name in LENGTHS:
    _complete(_name)
