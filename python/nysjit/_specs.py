"""What a call of attention asks for: by a Spec, its JSON, or the keys as keyword arguments."""

from nysjit import Error, Spec

_KNOWN = {}  # by the items of keyword arguments


def spec_of(spec, keys, may_keep=True):
    """A Spec, or the JSON that was given in its place.

    may_keep: whether a spec of keywords may be remembered. Not in traced code: a graph may not
    change what lies outside of it.
    """
    if spec is not None:
        if keys:
            raise Error(f"{next(iter(keys))}: expected no keys beside spec, found one")
        return spec
    items = tuple(keys.items())
    spec = _KNOWN.get(items)
    if spec is None:
        spec = Spec(**keys)
        if may_keep:
            _KNOWN[items] = spec
    return spec
