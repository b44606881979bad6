"""Attention for Hugging Face's transformers: registered once, then chosen by name.

::

    import nysjit.transformers
    nysjit.transformers.register("nysjit", layout="causal", segment_len=64)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="nysjit")

Models of the kinds of GPT-2, Llama, Mistral and Qwen take it, with transformers 5.24 or later: what
asks ``ALL_ATTENTION_FUNCTIONS`` for its attention. Training, padding on either side, packed
sequences, grouped queries, torch.compile in one graph. For ``generate`` pass a ``Cache``.
"""

import warnings

import torch
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.cache_utils import Cache as _Cache
from transformers.cache_utils import DynamicLayer

from nysjit import Error, Spec
from nysjit._calibration import probes_of
from nysjit._operators import DTYPES
from nysjit.torch import attention

__all__ = ["Cache", "add_parameters", "calibrate", "register"]

_CAUSAL = {"causal": True, "exact_causal": True, "segment_causal": True, "scan": True,
           "bidirectional": False}  # fmt: skip
_SPECS = {}  # by registered name

# What some models ask of their attention beside a scale, and no layout has.
_REFUSED = ("softcap", "s_aux", "head_mask", "position_bias")


def register(name="nysjit", **keys):
    """Makes attention of a spec known to transformers: ``attn_implementation=name`` chooses it.

    keys: of the spec (docs/spec.md): ``layout="causal", segment_len=64``; every layout but
      ``prefix_lm``. head_dim and dtype are the model's. A name that is registered again stands for
      the new spec, in models that have it already, too.

    A model of a spec with learned probes, landmarks or taps needs ``add_parameters``, too.
    Attention's weights are never formed: there is no dropout of them, and the first training step
    of a model that is configured to have some warns.
    """
    spec = Spec(**keys)
    if spec.get("layout") not in _CAUSAL:
        known = ", ".join(f'"{layout}"' for layout in _CAUSAL)
        raise Error(f'layout: expected {known}, found "{spec.get("layout")}"')
    _SPECS[name] = spec
    seen_dropout = []

    def attend(module, query, key, value, attention_mask, dropout=0.0, scaling=None, **given):
        if dropout and not seen_dropout:
            _warn_of_dropout(name, float(dropout))
            seen_dropout.append(True)
        return _attend(spec, module, (query, key, value), attention_mask, scaling, given), None

    AttentionInterface.register(name, attend)
    AttentionMaskInterface.register(name, _runs)


@torch.compiler.assume_constant_result  # so that tracers run it once and leave it out
def _warn_of_dropout(name, dropout):
    warnings.warn(
        f"{name}: the model's config has attention dropout {dropout:g}, and nysjit's attention has "
        "none: weights are not dropped",
        stacklevel=2,
    )


# From transformers' mask to first positions and lengths.


def _runs(batch_size, q_length, kv_length, mask_function, attention_mask=None, **given):
    """What a model's layers get as their mask: None, or [B, 1, 1, 2] int32, of each sequence its
    first position and its length. Of four dimensions, for two are a mask of transformers' own.
    """
    if given.get("use_vmap") or getattr(mask_function, "__name__", "") == "or_mask":
        raise Error("mask: expected causal attention or padding, found a mask of the model's own")
    chunk = getattr(given.get("config"), "attention_chunk_size", None)
    if chunk is not None and kv_length > chunk:
        raise Error(f"attention_chunk_size: expected None or at least {kv_length}, found {chunk}")
    if attention_mask is None:
        return None
    mask = attention_mask.bool()
    count = mask.sum(-1)
    first = mask.to(torch.int32).argmax(-1)
    end = mask.shape[-1] - mask.flip(-1).to(torch.int32).argmax(-1)
    is_run = (count == 0) | (end - first == count)
    _require(is_run.all(), "attention_mask: expected one run of ones a row, found several")
    if not torch.compiler.is_compiling() and bool(mask.all()):
        return None
    return torch.stack((first, count), -1).to(torch.int32)[:, None, None, :]


def _require(is_so, message):
    """Of a value that only a run knows."""
    if torch.compiler.is_compiling():
        torch._assert_async(is_so, message)
    elif not bool(is_so):
        raise Error(message)


# One layer's attention.


def _attend(spec, module, tensors, mask, scale, given):
    """[B, n, H, d] of queries [B, H, n, d], and keys and values of as many positions."""
    _check(spec, module, mask, given)
    query, key, value = tensors
    new_rows = query.shape[2]
    layer = given.get("nysjit_layer")
    if layer is not None:
        query = layer.with_past(query)
    elif key.shape[2] != new_rows:
        raise Error(
            "cache: expected nysjit.transformers.Cache(), which keeps queries, or use_cache=False, "
            f"found {key.shape[2]} keys and {new_rows} queries"
        )
    window = given.get("sliding_window")
    if window is not None and key.shape[2] > window:
        raise Error(
            f"sliding_window: expected None or at least {key.shape[2]}, the positions there are, "
            f"found {window}"
        )
    parameters = _parameters(spec, module)
    cu_seqlens = given.get("cu_seq_lens_q")
    if cu_seqlens is not None:
        if query.shape[0] != 1 or mask is not None or layer is not None:
            raise Error(
                "cu_seq_lens_q: expected a batch of 1 with neither mask nor nysjit's cache, found "
                f"a batch of {query.shape[0]}"
            )
        most = given.get("max_length_q")
        lengths = {"cu_seqlens": cu_seqlens}
        parameters["max_length"] = most if isinstance(most, int) else None
        query, key, value = (part[0].transpose(0, 1) for part in (query, key, value))
    elif mask is not None:
        lengths = {"seqlens": mask[:, 0, 0, 1], "seq_starts": mask[:, 0, 0, 0]}
    else:
        lengths = {}
    seen = getattr(module, "nysjit_seen", None)
    if seen is not None:
        seen.append((query.detach(), lengths))
    o = attention(query, key, value, spec, scale=scale, **lengths, **parameters)
    if cu_seqlens is not None:
        return o.unsqueeze(0)
    return o.transpose(1, 2)[:, -new_rows:]


def _check(spec, module, mask, given):
    """Raises where attention would be another than the model's."""
    is_causal = getattr(module, "is_causal", None)
    if is_causal is not None and is_causal != _CAUSAL[spec.get("layout")]:
        kind = "a causal layout" if is_causal else 'layout "bidirectional"'
        raise Error(f'{type(module).__name__}: expected {kind}, found "{spec.get("layout")}"')
    for name in _REFUSED:
        if given.get(name) is not None:
            raise Error(f"{name}: expected None, as nysjit's attention has none, found one")
    if mask is not None and (mask.dtype != torch.int32 or mask.shape[1:] != (1, 1, 2)):
        raise Error(
            f"attention_mask: expected one of [B, n] positions, found one of {list(mask.shape)}"
        )
    positions = given.get("position_ids")
    is_first = getattr(module, "layer_idx", None) in (0, None)
    if (
        positions is not None
        and positions.dim() == 2
        and is_first
        and mask is None
        and given.get("cu_seq_lens_q") is None
    ):
        _require(
            (positions.diff(dim=-1) == 1).all(),
            "position_ids: expected positions one after the other, or cu_seq_lens_q beside packed "
            "sequences, found positions that restart",
        )


# Parameters: of each attention module, so that they train and are saved with the model.


def _shapes(spec, config, head_dim):
    """{name: shape} of the parameters that a spec has."""
    heads = config.num_attention_heads
    key_heads = getattr(config, "num_key_value_heads", None) or heads
    shapes = {}
    if spec.get("landmark_source") == "learned":
        count = spec.get("probes") or spec.get("landmarks")
        shapes["nysjit_landmark_q"] = (heads, count, head_dim)
        if spec.get("layout") == "scan":
            shapes["nysjit_landmark_k"] = (key_heads, count, head_dim)
    if spec.get("conv_kernel"):
        shapes["nysjit_conv"] = (heads, spec.get("conv_kernel"))
    return shapes


def _parameters(spec, module):
    found = {}
    if spec.get("landmark_source") == "learned":
        found["landmark_q"] = _parameter(module, "nysjit_landmark_q")
        if spec.get("layout") == "scan":
            found["landmark_k"] = _parameter(module, "nysjit_landmark_k")
    if spec.get("conv_kernel"):
        found["conv"] = _parameter(module, "nysjit_conv")
    return found


def _parameter(module, name):
    parameter = getattr(module, name, None)
    if parameter is None:
        raise Error(
            f"{type(module).__name__}.{name}: expected a parameter, which "
            "nysjit.transformers.add_parameters(model) makes, found none"
        )
    return parameter


def _attention_modules(model):
    """[(module, spec)] of those whose attention is registered here, first layer first."""
    found = []
    for module in model.modules():
        config = getattr(module, "config", None)
        name = getattr(config, "_attn_implementation", None)
        if name in _SPECS and hasattr(module, "is_causal") and hasattr(module, "head_dim"):
            found.append((module, _SPECS[name]))
    if not found:
        raise Error("model: expected attention of a name that is registered here, found none")
    return found


def add_parameters(model):
    """Gives a model's attention the parameters of its spec, where it has none yet: learned probes
    or landmarks, drawn from N(0, 1), and taps, which are 0.

    They are parameters of the attention modules: ``nysjit_landmark_q`` [H, r, d],
    ``nysjit_landmark_k`` [Hkv, m, d], ``nysjit_conv`` [H, c], of the modules' dtype and device.
    Call it before the optimizer is made, and before ``load_state_dict`` of a model that had them;
    ``from_pretrained`` does not know them. Returns the model.
    """
    for module, spec in _attention_modules(model):
        like = next(module.parameters())
        for name, shape in _shapes(spec, module.config, module.head_dim).items():
            if getattr(module, name, None) is None:
                made = torch.zeros(shape, dtype=like.dtype, device=like.device)
                if name != "nysjit_conv":
                    made.normal_()
                module.register_parameter(name, nn.Parameter(made))
    return model


def calibrate(model, batches, *, seed=0):
    """Fills a model's learned probes from the queries that it makes of batches.

    batches: an iterable of the model's inputs, each a dict of arguments or a tensor of input_ids;
    all queries of one layer are kept meanwhile. seed: where the search begins; 0 is as good as any.
    The model runs without gradients, as it is (eval or train), once for each layer and batch.

    A head's probes are the means of r clusters of its queries, layer by layer from the first: each
    sees queries of layers that have theirs. Adds parameters that are missing. Returns the number of
    modules that were filled. Raises nysjit.Error where there are none, or no query.
    """
    modules = [(module, spec) for module, spec in _attention_modules(model) if spec.get("probes")]
    if not modules:
        raise Error("model: expected attention with probes, found none")
    add_parameters(model)
    batches = list(batches)
    for module, spec in modules:
        module.nysjit_seen = []
        try:
            with torch.no_grad():
                for batch in batches:
                    model(**batch) if isinstance(batch, dict) else model(batch)
            _fill(module, spec, seed)
        finally:
            del module.nysjit_seen
    return len(modules)


def _fill(module, spec, seed):
    if not module.nysjit_seen:
        raise Error("batches: expected inputs that reach every layer's attention, found none")
    probes = module.nysjit_landmark_q
    dtype = module.nysjit_seen[0][0].dtype
    spec = spec.replace(head_dim=probes.shape[-1], dtype=DTYPES[dtype])
    with torch.no_grad():
        probes.copy_(probes_of(spec, module.nysjit_seen, probes.shape[0], seed))


# Generation.


class Cache(_Cache):
    """What ``generate`` keeps between tokens: queries beside keys and values.

    ``model.generate(ids, cache=nysjit.transformers.Cache())``, with beams, too. A far segment is
    seen through the mean of its queries, which other caches do not have; they are refused. For each
    token attention is computed anew for all rows, from what is kept: the rest of the model is not.
    """

    def __init__(self):
        super().__init__(layer_class_to_replicate=_Layer)


class _Layer(DynamicLayer):
    """One layer's; it hands itself to attention by the keyword arguments that update is shown."""

    queries = None

    def update(self, key_states, value_states, *args, **kwargs):
        call = kwargs.get("kwargs")
        if call is None:
            raise Error(
                "cache: expected a model that shows Cache.update its attention's keyword "
                "arguments, found one that does not"
            )
        call["nysjit_layer"] = self
        return super().update(key_states, value_states)

    def with_past(self, query):
        """All queries so far, these at the end."""
        past = self.queries
        self.queries = query if past is None else torch.cat((past, query), dim=-2)
        return self.queries

    def _take(self, function):
        if self.queries is not None:
            self.queries = function(self.queries)

    def reset(self):
        self.queries = None
        super().reset()

    def crop(self, tokens_to_remove):
        super().crop(tokens_to_remove)
        if tokens_to_remove != 0:
            self._take(lambda queries: queries[..., : -abs(tokens_to_remove), :])

    def reorder_cache(self, beam_idx):
        super().reorder_cache(beam_idx)
        self._take(lambda queries: queries.index_select(0, beam_idx.to(queries.device)))

    def batch_repeat_interleave(self, repeats):
        super().batch_repeat_interleave(repeats)
        self._take(lambda queries: queries.repeat_interleave(repeats, dim=0))

    def batch_select_indices(self, indices):
        super().batch_select_indices(indices)
        self._take(lambda queries: queries[indices, ...])
