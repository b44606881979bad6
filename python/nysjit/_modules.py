"""CausalAttention, a block of a GPT-2-like model, and probes for a whole model from its queries."""

import numbers

import torch
from torch import nn

from nysjit import Error, Spec
from nysjit._attention import attention
from nysjit._calibration import probes_of
from nysjit._operators import DTYPES

_LENGTHS = ("cu_seqlens", "seqlens", "seq_starts")


class CausalAttention(nn.Module):
    """Multi-head self-attention: a projection to queries, keys and values, attention, a projection.

    ``CausalAttention(768, 12, layout="causal", segment_len=64)`` stands where minGPT and GPT-2 have
    theirs. Attention's weights are never formed, so there is no dropout of them.

    dim: of the model. heads: of the queries. key_heads: of keys and values; it divides heads; None:
      heads. head_dim: None: dim / heads, which must be a multiple of 8 from 16 to 256.
    bias: of both projections. scale: of q k; None: 1 / sqrt(head_dim).
    keys: the spec's (docs/spec.md): ``layout``, ``segment_len``, ``window``, ``conv_kernel``, ...

    Parameters: ``qkv`` and ``out``, nn.Linear; where the spec has them ``probes`` [heads, r, d]
    (causal, learned), ``landmark_q`` [heads, m, d] and ``landmark_k`` [key_heads, m, d] (scan,
    learned), ``conv`` [heads, c] (zero at first). ``calibrate`` finds probes for a model that was
    trained without.
    """

    def __init__(self, dim, heads, *, key_heads=None, head_dim=None, bias=True, scale=None, **keys):
        super().__init__()
        self.heads = _count("heads", heads)
        if head_dim is None and dim % heads != 0:
            raise Error(f"heads: expected a divisor of dim ({dim}), found {heads}")
        self.key_heads = heads if key_heads is None else _count("key_heads", key_heads)
        if heads % self.key_heads != 0:
            raise Error(f"key_heads: expected a divisor of heads ({heads}), found {key_heads}")
        self.head_dim = dim // heads if head_dim is None else head_dim
        self.scale = scale
        self.spec = Spec(**keys)
        size = self.head_dim
        self.qkv = nn.Linear(dim, (heads + 2 * self.key_heads) * size, bias=bias)
        self.out = nn.Linear(heads * size, dim, bias=bias)
        self.probes = self.landmark_q = self.landmark_k = self.conv = None
        if self.spec.get("landmark_source") == "learned":
            if self.spec.get("layout") == "scan":
                count = _count("landmarks", self.spec.get("landmarks"))
                self.landmark_q = nn.Parameter(torch.randn(heads, count, size))
                self.landmark_k = nn.Parameter(torch.randn(self.key_heads, count, size))
            else:
                count = _count("probes", self.spec.get("probes"))
                self.probes = nn.Parameter(torch.randn(heads, count, size))
        if self.spec.get("conv_kernel"):
            count = _count("conv_kernel", self.spec.get("conv_kernel"))
            self.conv = nn.Parameter(torch.zeros(heads, count))
        self._seen = None  # while a model is calibrated: what attention was given

    def extra_repr(self):
        return f"heads={self.heads}, key_heads={self.key_heads}, {self.spec!r}"

    def forward(self, x, **lengths):
        """x: [B, n, dim], or packed [total, dim] with cu_seqlens. Returns the same shape.

        lengths: cu_seqlens, seqlens, seq_starts, max_length, source_len, as attention takes them.
        """
        size = self.head_dim
        widths = [count * size for count in (self.heads, self.key_heads, self.key_heads)]
        is_packed = lengths.get("cu_seqlens") is not None
        if x.dim() != (2 if is_packed else 3):
            expected = "2 dimensions with cu_seqlens" if is_packed else "3 dimensions"
            raise Error(f"x.ndim: expected {expected}, found {x.dim()}")
        parts = [part.unflatten(-1, (-1, size)) for part in self.qkv(x).split(widths, dim=-1)]
        q, k, v = parts if is_packed else [part.transpose(1, 2) for part in parts]
        if self._seen is not None:
            given = {name: lengths[name] for name in _LENGTHS if lengths.get(name) is not None}
            self._seen.append((q.detach(), given))
        o = attention(
            q,
            k,
            v,
            self.spec,
            scale=self.scale,
            landmark_q=self.landmark_q if self.probes is None else self.probes,
            landmark_k=self.landmark_k,
            conv=self.conv,
            **lengths,
        )
        return self.out((o if is_packed else o.transpose(1, 2)).flatten(-2))


def _count(name, number):
    """A number that sizes a parameter. What else its key may be is the library's to check."""
    if not isinstance(number, numbers.Integral) or isinstance(number, bool) or number < 1:
        found = "no such key" if number is None else repr(number)
        raise Error(f"{name}: expected an integer of at least 1, found {found}")
    return int(number)


def calibrate(model, batches, *, seed=0):
    """Fills the probes of every CausalAttention in a model from the queries that it makes.

    model: a module; it is run without gradients, as it is (eval or train). batches: an iterable of
    its inputs, each a tensor, a tuple of arguments or a dict of them; all queries of all batches
    are kept meanwhile. seed: where the search begins; 0 is as good as any.

    The probes of a head are the means of r clusters of its queries, layer by layer from the first:
    each sees queries of layers that have theirs. Returns the number of modules that were filled.
    Raises nysjit.Error where there are none, or no query.
    """
    modules = [
        part
        for part in model.modules()
        if isinstance(part, CausalAttention) and part.probes is not None
    ]
    if not modules:
        raise Error("model: expected a CausalAttention with probes, found none")
    batches = list(batches)
    for module in modules:
        module._seen = []
        try:
            with torch.no_grad():
                for batch in batches:
                    _call(model, batch)
            _fill(module, seed)
        finally:
            module._seen = None
    return len(modules)


def _call(model, batch):
    if isinstance(batch, dict):
        model(**batch)
    elif isinstance(batch, (tuple, list)):
        model(*batch)
    else:
        model(batch)


def _fill(module, seed):
    if not module._seen:
        raise Error("batches: expected inputs that reach every CausalAttention, found none")
    dtype = module._seen[0][0].dtype
    spec = module.spec.replace(head_dim=module.head_dim, dtype=DTYPES[dtype])
    found = probes_of(spec, module._seen, module.heads, seed)
    with torch.no_grad():
        module.probes.copy_(found)
