"""What a call of attention asks for: by a Spec, its JSON, or the keys as keyword arguments."""

from nysjit import NO_PASS, Error, Spec


def spec_of(spec, keys):
    """A Spec, or the JSON that was given in its place."""
    if spec is None:
        return Spec(**keys)
    if keys:
        raise Error(f"{next(iter(keys))}: expected no keys beside spec, found one")
    if not isinstance(spec, (Spec, str)):
        raise Error(f"spec: expected a nysjit.Spec or its JSON, found {type(spec).__name__}")
    if isinstance(spec, str) and '"pass"' in spec:
        raise Error(NO_PASS)
    return spec
