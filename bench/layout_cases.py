"""The layouts as layouts.py and layout_pictures.py run them: settings, inputs, what is exact in
float64, and what each costs."""

import dataclasses

import numpy as np

from harness import ROOT

SEGMENT_LENS = (16, 32, 64, 128)


@dataclasses.dataclass(frozen=True)
class Case:
    """One setting of one layout, for any n and head_dim. A segment_len s makes n / s landmarks."""

    # As in a spec; "own segment" is exact attention within a position's own segment: what causal
    # would be without landmarks.
    layout: str
    s: int = 0
    options: tuple = ()  # further (key, value) pairs of the spec

    @property
    def get(self):
        return dict(self.options).get

    @property
    def exact(self):
        """What it is measured against: a name of `seen`."""
        return {"bidirectional": "full", "prefix_lm": "prefix"}.get(self.layout, "causal")

    @property
    def name(self):
        return f"{self.layout} {self.get('landmark_source', '')}".strip()

    @property
    def setting(self):
        words = [
            f"{key.removeprefix('landmark_')} {value}"
            for key, value in self.options
            if key != "landmark_source"
        ]
        return ", ".join(words) or "defaults"

    def landmarks(self, n):
        return n // self.s

    def first(self, n):
        """first_k: four positions a landmark."""
        return 4 * self.landmarks(n)

    def spec(self, n, d):
        if self.layout in ("exact_causal", "own segment"):
            return {"layout": "exact_causal", "head_dim": d}
        spec = {
            "layout": self.layout,
            "head_dim": d,
            "landmarks": self.landmarks(n),
            **dict(self.options),
        }
        if self.layout != "scan":
            return {**spec, "segment_len": self.s}
        return (
            {**spec, "first_k": self.first(n)} if self.get("landmark_source") == "first_k" else spec
        )


def all_cases():
    cases = [Case("exact_causal")]
    for s in SEGMENT_LENS:
        cases.append(Case("own segment", s))
        for window in (0, 1, 2):
            for weight in ("tangent", "count"):
                for value in ("nystrom", "streaming"):
                    options = (
                        ("window", window),
                        ("landmark_weight", weight),
                        ("landmark_value", value),
                    )
                    cases.append(Case("causal", s, options))
        if s in (16, 64):
            cases += [
                Case("causal", s, (("landmark_weight", weight), ("stabilizer", 0.125)))
                for weight in ("tangent", "count")
            ]
        cases.append(Case("segment_causal", s))
        if s in (16, 64):
            cases.append(Case("segment_causal", s, (("stabilizer", 0.125),)))
        cases.append(Case("bidirectional", s))
        cases += [
            Case("prefix_lm", s, options)
            for options in ((), (("landmark_value", "streaming"),), (("landmark_weight", "count"),))
        ]
        cases += [
            Case("scan", s, (("landmark_source", source),)) for source in ("learned", "first_k")
        ]
    return sorted(
        cases, key=lambda case: [c.name for c in cases].index(case.name)
    )  # layout by layout, else as above


@dataclasses.dataclass
class Inputs:
    """q, k, v [1, H, n, d] float32, and tensors that learned landmarks are the segment means of."""

    name: str
    tensors: tuple
    other: tuple  # q and k

    @property
    def shape(self):
        return self.tensors[0].shape


def real():
    """The model's own tensors. Nothing has learned landmarks for them: theirs are this text's."""
    q, k, v = (np.load(ROOT / f"examples/data/{name}.npy").astype(np.float32) for name in "qkv")
    return Inputs("real", (q, k, v), (q, k))


def normal(heads=4, n=4096, d=64):
    """Nothing depends on anything."""
    random = np.random.default_rng(1)
    draw = lambda: random.standard_normal((1, heads, n, d)).astype(np.float32)
    return Inputs("normal", (draw(), draw(), draw()), (draw(), draw()))


def walk(heads=4, n=4096, d=64, memory=64, sharpness=3.0):
    """A slow random walk that forgets after about `memory` positions, under independent projections
    for q, k and v, as neighbouring tokens are alike but not in what they ask and offer. Scores have
    a standard deviation of `sharpness`."""
    random = np.random.default_rng(2)
    projections = random.standard_normal((3, heads, 2 * d, d)) / np.sqrt(2 * d)
    keep = 1 - 1 / memory

    def positions():
        x = random.standard_normal((n, 2 * d))
        for t in range(1, n):
            x[t] = keep * x[t - 1] + np.sqrt(1 - keep**2) * x[t]
        q, k, v = (np.einsum("nc,hcd->hnd", x, projection)[None] for projection in projections)
        return [(y * share).astype(np.float32) for y, share in ((q, sharpness), (k, 1), (v, 1))]

    return Inputs("walk", tuple(positions()), tuple(positions()[:2]))


def segment_means(x, count):
    _, heads, n, d = x.shape
    return np.ascontiguousarray(x[0].reshape(heads, count, n // count, d).mean(2))


def seen(exact, i, t, source_len):
    """Where query i sees position t."""
    if exact == "full":
        return np.ones((len(i), len(t)), bool)
    causal = t[None] <= i[:, None]
    return (
        causal
        if exact == "causal"
        else np.where(i[:, None] < source_len, t[None] < source_len, causal)
    )


def exact_attention(inputs, exact):
    """softmax(tau Q K^T + M) V in float64, [1, H, n, d]."""
    q, k, v = (x[0].astype(np.float64) for x in inputs.tensors)
    n, d = q.shape[1:]
    out, positions = np.empty_like(q), np.arange(n)
    for head in range(len(q)):
        for i0 in range(0, n, 512):
            scores = q[head, i0 : i0 + 512] @ k[head].T / np.sqrt(d)
            scores[~seen(exact, positions[i0 : i0 + 512], positions, n // 2)] = -np.inf
            weights = np.exp(scores - scores.max(1, keepdims=True))
            out[head, i0 : i0 + 512] = weights @ v[head] / weights.sum(1, keepdims=True)
    return out[None]


def error(o, reference):
    return np.linalg.norm(o - reference) / np.linalg.norm(reference)


def bind(runtime, case, q, k, v, o, other=None, source_len=None):
    """The case on these tensors: a callable. Raises RuntimeError for what the compiler refuses."""
    _, heads, n, d = q.shape
    program = runtime.prepare(case.spec(n, d))
    if case.layout == "own segment":  # each segment a sequence of its own
        q, k, v, o = (
            np.lib.stride_tricks.as_strided(
                x, (n // case.s, heads, case.s, d), (case.s * d * 4, n * d * 4, d * 4, 4)
            )
            for x in (q, k, v, o)
        )
    more = {}
    if case.layout == "prefix_lm":
        more["source_len"] = np.array([n // 2 if source_len is None else source_len], np.int32)
    if case.get("landmark_source") == "learned":
        means = [segment_means(x, case.landmarks(n)) for x in other or (q, k)]
        more.update(landmark_q=means[0], landmark_k=means[1])
    return runtime.bind(program, q, k, v, o, **more)


def flops(case, n, d):
    """Multiplications and additions of one head's products: 4 d for each pair of a query and a
    position or landmark that is weighed."""
    s, i = case.s, np.arange(n)
    if case.layout == "exact_causal":
        return 4 * d * n * (n + 1) // 2
    m, segment = case.landmarks(n), i // s
    inverse = lambda count: 6 * 4 * 2 * count**3  # six steps of four products

    def causal(n, m, source=0, source_len=0, window=0):
        far = np.maximum(segment[:n] - window, 0)
        pairs = np.sum(i[:n] - far * s + 1) + np.sum(far + source) + n  # near, far, the summaries
        if case.get("landmark_value") != "streaming":
            pairs += (
                m * source_len + s * m * (m + 1) // 2 + m * (m + 1) + 2 * m * source
            )  # B V; A, used twice
        return 4 * d * pairs

    def bidirectional(n, m):
        return 4 * d * (2 * n * m + m * m) + inverse(m)

    if case.layout == "own segment":
        return 4 * d * np.sum(i % s + 1)
    if case.layout == "causal":
        return causal(n, m, window=case.get("window") or 0)
    if case.layout == "segment_causal":
        return 4 * d * (np.sum(segment + 1) + n + s * m * (m + 1) // 2 + m * (m + 1))
    if case.layout == "bidirectional":
        return bidirectional(n, m)
    if case.layout == "prefix_lm":
        return bidirectional(n // 2, m // 2) + causal(n // 2, m // 2, m // 2, n // 2)
    first = case.first(n) if case.get("landmark_source") == "first_k" else 0  # exact there
    return (
        (n - first) * m * (6 * d + 2 * m) + n * m * 2 * d + 2 * d * first * (first + 1) + inverse(m)
    )  # F A+; running sums, read and kept
