"""Probes from queries: nysjit_calibrate for tensors of PyTorch's."""

import ctypes

import torch

from nysjit import Error, _library

_CODES = {torch.float32: (2, 32), torch.float16: (2, 16), torch.bfloat16: (4, 16)}
_CPU = 1


def _view(tensor, keep):
    """A DLTensor of a CPU tensor; `keep` holds what it points to."""
    shape = (ctypes.c_int64 * tensor.dim())(*tensor.shape)
    strides = (ctypes.c_int64 * tensor.dim())(*tensor.stride())
    code, bits = _CODES.get(tensor.dtype, (0, 32))
    view = _library.DLTensor(
        tensor.data_ptr(), _CPU, 0, tensor.dim(), code, bits, 1, shape, strides, 0
    )
    keep += [tensor, shape, strides, view]
    return ctypes.pointer(view)


def probes_of(spec, runs, heads, seed=0):
    """[heads, r, d], float32: the means of r clusters of each head's queries.

    spec: a nysjit.Spec with ``probes``, ``head_dim`` and ``dtype``. runs: [(q, lengths)], q of that
    dtype as attention takes it, and lengths by name: cu_seqlens, seqlens, seq_starts, or none.
    Raises nysjit.Error.
    """
    if not isinstance(seed, int) or not 0 <= seed < 2**64:  # which ctypes would cut to 64 bits
        raise Error(f"seed: expected an integer, 0 to {2**64 - 1}, found {seed!r}")
    keep = []
    found = torch.empty(heads, spec.get("probes"), spec.get("head_dim"))
    arguments = []
    for q, lengths in runs:
        q = q.detach().cpu()
        q = q if q.stride(-1) == 1 else q.contiguous()
        run = _library.RunArgs(size=ctypes.sizeof(_library.RunArgs), q=_view(q, keep))
        for name, tensor in lengths.items():
            setattr(run, name, _view(tensor.detach().cpu().to(torch.int32).contiguous(), keep))
        arguments.append(ctypes.pointer(run))
    args = _library.CalibrateArgs(size=ctypes.sizeof(_library.CalibrateArgs))
    args.runs = (ctypes.POINTER(_library.RunArgs) * len(arguments))(*arguments)
    args.run_count = len(arguments)
    args.probes = _view(found, keep)
    args.seed = seed
    library = _library.library()
    text = str(spec).encode()
    _library.check(library.nysjit_calibrate(_library.context("cpu"), text, ctypes.byref(args)))
    return found
