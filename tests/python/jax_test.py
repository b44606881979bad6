"""Attention for JAX: golden cases, whose outputs and gradients were computed in float64 elsewhere,
in the dtypes of golden_test.py; jit, vmap, padded and packed batches, what is wrong, threads.
"""

import functools
import re
import subprocess
import sys
import unittest

import numpy
import torch
from cases import (
    BOUND,
    GRADIENT_BOUND,
    INPUTS,
    LENGTHS,
    SOURCE,
    at_once,
    golden,
    golden_bounds,
    golden_in_16_bits,
    golden_names,
    seeded,
)

import nysjit

try:
    import jax
    import jax.numpy as jnp

    from nysjit.jax import attention
except ImportError as error:
    print(f"skipped: no JAX ({error})", flush=True)
    sys.exit(77)

CAUSAL = {"layout": "causal", "segment_len": 8}
LEARNED = {**CAUSAL, "landmark_source": "learned", "probes": 2}
EXACT = {"layout": "exact_causal"}


def norm(array):
    return float(numpy.linalg.norm(numpy.asarray(array, numpy.float64).ravel()))


def distance(found, expected, least=0.0):
    """Relative in the Frobenius norm, to at least that much."""
    difference = numpy.asarray(found, numpy.float64) - numpy.asarray(expected, numpy.float64)
    size = max(norm(expected), least)
    return norm(difference) / size if size else norm(difference)


def run(name, dtype, through=None):
    """(o, {name: gradient}, the golden arrays) of a case whose inputs are rounded to a dtype, and
    to another on the way, if there is one."""
    spec, scale, tensors = golden(name)
    arrays = {key: tensor.numpy() for key, tensor in tensors.items()}
    lengths = {key: arrays[key] for key in LENGTHS if key in arrays}
    given = {
        key: jnp.asarray(arrays[key]).astype(through or dtype).astype(dtype)
        for key in INPUTS
        if key in arrays
    }
    dout = jnp.asarray(arrays["dout"]).astype(through or dtype).astype(dtype)
    spec = spec.replace(dtype=dtype)

    @jax.jit
    def outputs(given, dout):
        o, pull = jax.vjp(
            lambda given: attention(**given, **lengths, spec=spec, scale=scale), given
        )
        return o, pull(dout)[0]

    return *outputs(given, dout), arrays


class Golden(unittest.TestCase):
    def test_outputs_and_gradients_in_float32(self):
        for name in golden_names():
            with self.subTest(name):
                o, gradients, arrays = run(name, "float32")
                bound, limit = golden_bounds(name)
                self.assertLessEqual(distance(o, arrays["o"]), bound)
                for key, found in gradients.items():
                    if "d" + key in arrays:
                        least = norm(arrays["dout"]) / 100
                        error = distance(found, arrays["d" + key], least)
                        self.assertLessEqual(error, limit, key)

    def test_16_bits_are_near_float32_on_the_same_numbers(self):
        for name, dtype in golden_in_16_bits():
            with self.subTest(name, dtype=dtype):
                o, gradients, arrays = run(name, dtype)
                right, expected, _ = run(name, "float32", through=dtype)
                self.assertEqual(o.dtype.name, dtype)
                self.assertLessEqual(distance(o, right), BOUND[dtype])
                for key, found in gradients.items():
                    self.assertEqual(found.dtype.name, dtype)
                    self.assertTrue(bool(jnp.isfinite(found).all()), key)
                    if "d" + key not in arrays:  # of large scores none are asked for
                        continue
                    error = distance(found, expected[key], norm(arrays["dout"]) / 100)
                    self.assertLessEqual(error, GRADIENT_BOUND[dtype], key)


def drawn(*shapes):
    return [jnp.asarray(torch.randn(shape).numpy()) for shape in shapes]


def bits_equal(one, other):
    return all(
        numpy.array_equal(*pair) for pair in zip(jax.tree.leaves(one), jax.tree.leaves(other))
    )


def gradients(function, *arrays):
    return jax.grad(lambda arrays: (function(*arrays) ** 2).sum())(arrays)


class Transforms(unittest.TestCase):
    def setUp(self):
        seeded(self.id())

    def test_jit_changes_no_bit(self):
        q, k, v = drawn(*[(2, 4, 40, 16)] * 3)
        function = functools.partial(attention, **CAUSAL)
        self.assertTrue(bits_equal(jax.jit(function)(q, k, v), function(q, k, v)))

    def test_exact_is_softmax(self):
        q, k, v = drawn(*[(2, 4, 40, 16)] * 3)

        def plain(q, k, v):
            scores = jnp.einsum("bhid,bhjd->bhij", q, k) / 4
            scores = jnp.where(jnp.tril(jnp.ones((40, 40), bool)), scores, -jnp.inf)
            return jnp.einsum("bhij,bhjd->bhid", jax.nn.softmax(scores), v)

        def ours(q, k, v):
            return attention(q, k, v, **EXACT)

        self.assertLess(distance(ours(q, k, v), plain(q, k, v)), 1e-6)
        for found, right in zip(gradients(ours, q, k, v), gradients(plain, q, k, v)):
            self.assertLess(distance(found, right), 1e-5)

    def test_gradients_of_a_model(self):
        """Through projections and probes, and with what is kept computed anew."""
        x, w, probes = drawn((2, 30, 64), (64, 192), (4, 2, 16))

        def block(x, w, probes):
            parts = (x @ w).reshape(2, 30, 3, 4, 16)
            q, k, v = (parts[:, :, i].swapaxes(1, 2) for i in range(3))
            o = attention(q, k, v, landmark_q=probes, **LEARNED)
            return o.swapaxes(1, 2).reshape(2, 30, 64)

        right = gradients(block, x, w, probes)
        found = gradients(jax.checkpoint(block), x, w, probes)
        for one, other in zip(found, right):
            self.assertGreater(norm(other), 0)
            self.assertLess(distance(one, other), 1e-5)

    def each(self, function, *arrays, axes=0, bits=True):
        """vmap of it beside one call after the other: outputs, and gradients by all arrays."""
        size = 3
        axes = (axes,) * len(arrays) if isinstance(axes, int) else axes
        found = jax.vmap(function, in_axes=axes)(*arrays)
        parts = [
            [
                array if axis is None else jnp.take(array, i, axis)
                for array, axis in zip(arrays, axes)
            ]
            for i in range(size)
        ]
        right = jnp.stack([function(*part) for part in parts])
        self.assertTrue(bits_equal(found, right))
        for one, other in zip(
            gradients(jax.vmap(function, in_axes=axes), *arrays),
            gradients(
                lambda *arrays: jnp.stack(
                    [
                        function(
                            *[a if x is None else jnp.take(a, i, x) for a, x in zip(arrays, axes)]
                        )
                        for i in range(size)
                    ]
                ),
                *arrays,
            ),
        ):
            self.assertLess(distance(one, other), 1e-6)

    def test_vmap_of_all(self):
        function = functools.partial(attention, **CAUSAL)
        self.each(function, *drawn(*[(3, 2, 4, 20, 16)] * 3))
        self.each(function, *drawn((2, 4, 3, 20, 16), *[(3, 2, 2, 20, 16)] * 2), axes=(2, 0, 0))

    def test_vmap_of_queries_and_of_probes(self):
        q, k, v = drawn((3, 2, 4, 20, 16), (2, 4, 20, 16), (2, 4, 20, 16))
        function = functools.partial(attention, **CAUSAL)
        self.each(function, q, k, v, axes=(0, None, None))

        def learned(q, k, v, probes):
            return attention(q, k, v, landmark_q=probes, **LEARNED)

        (probes,) = drawn((3, 4, 2, 16))
        self.each(learned, q[0], k, v, probes, axes=(None, None, None, 0))
        self.each(learned, q, k, v, probes[0], axes=(0, None, None, None))

    def test_vmap_of_lengths_and_twice(self):
        q, k, v = drawn(*[(3, 2, 4, 20, 16)] * 3)
        lengths = jnp.array([[20, 3], [9, 12], [1, 0]])

        def padded(q, k, v, lengths):
            return attention(q, k, v, seqlens=lengths, **CAUSAL)

        right = jnp.stack([padded(*part) for part in zip(q, k, v, lengths)])
        self.assertTrue(bits_equal(jax.vmap(padded)(q, k, v, lengths), right))
        function = functools.partial(attention, **CAUSAL)
        q, k, v = (array[:, :, None] for array in (q, k, v))
        twice = jax.vmap(jax.vmap(function))(q, k, v)[:, :, 0]
        right = jnp.stack([function(*part) for part in zip(q[:, :, 0], k[:, :, 0], v[:, :, 0])])
        self.assertTrue(bits_equal(twice, right))
        shared = jax.vmap(jax.vmap(function, (0, None, 0)), (0, 0, None))(q, k[:, 0], v[0])
        one = function(q[2, 1], k[2, 0], v[0, 1])
        self.assertTrue(bits_equal(shared[2, 1], one))

    def test_vmap_of_packed(self):
        cu_seqlens = jnp.array([0, 13, 20])

        def packed(q, k, v):
            return attention(q, k, v, cu_seqlens=cu_seqlens, max_length=13, **CAUSAL)

        self.each(packed, *drawn(*[(3, 20, 4, 16)] * 3))

    def test_padded_and_packed_are_the_sequences_alone(self):
        q, k, v = drawn(*[(1, 4, 30, 16)] * 3)
        function = functools.partial(attention, **CAUSAL)
        right = [
            function(*(x[:, :, part] for x in (q, k, v))) for part in (slice(18), slice(18, 30))
        ]
        flat = [x[0].swapaxes(0, 1) for x in (q, k, v)]
        found = function(*flat, cu_seqlens=numpy.array([0, 18, 30]))
        whole = jnp.concatenate(right, 2)[0].swapaxes(0, 1)
        self.assertTrue(bits_equal(found, whole))
        traced = jax.jit(lambda flat, lengths: function(*flat, cu_seqlens=lengths, max_length=18))
        self.assertTrue(bits_equal(traced(flat, jnp.array([0, 18, 30])), whole))
        found = function(q, k, v, seqlens=jnp.array([12]), seq_starts=jnp.array([18]))
        self.assertTrue(bits_equal(found[:, :, 18:], right[1]))
        self.assertEqual(norm(found[:, :, :18]), 0)


Q = numpy.zeros((2, 4, 20, 16), numpy.float32)
LONG = numpy.array([20, 20])
# (arguments beside q, k, v, which are Q unless given; the message)
CASES = (
    ({"k": Q[..., :8], **EXACT}, "k.shape[3]: expected 16, found 8"),
    ({"v": Q[:, :, :7], **EXACT}, "v.shape[2]: expected 20 (n, as in q), found 7"),
    ({"v": Q.astype(jnp.bfloat16), **EXACT}, "v.dtype: expected float32, found bfloat16"),
    ({"q": LONG, **EXACT}, "q.dtype: expected float32, float16 or bfloat16, found int32"),
    ({"q": Q[0], **EXACT}, "q.ndim: expected 4 dimensions, or 3 of sequences packed by"),
    ({"layout": "casual"}, 'layout: expected "causal", '),
    (LEARNED, "landmark_q: expected a tensor, found None"),
    ({**EXACT, "landmark_q": Q[0]}, "landmark_q: expected None (a program with layout exact"),
    ({**LEARNED, "landmark_q": Q[0, :, :3]}, "landmark_q.shape[1]: expected 2, found 3"),
    ({**EXACT, "seqlens": LONG[:1]}, "seqlens: expected 2 numbers, one a sequence, or none"),
    ({**EXACT, "seqlens": LONG / 2}, "seqlens.dtype: expected integers, found float64"),
    ({**EXACT, "seq_starts": LONG}, "seq_starts: expected None without seqlens, found an array"),
    ({**EXACT, "seqlens": LONG, "cu_seqlens": LONG}, "cu_seqlens: expected None with seqlens"),
    ({"spec": nysjit.Spec(**EXACT), "layout": "causal"}, "layout: expected no keys beside spec"),
)  # fmt: skip


class Messages(unittest.TestCase):
    def test_of_what_a_trace_knows(self):
        for given, message in CASES:
            with self.subTest(message):
                arrays = {"q": Q, "k": Q, "v": Q, **given}
                with self.assertRaises(nysjit.Error) as caught:
                    jax.make_jaxpr(lambda: attention(**arrays))()
                self.assertTrue(str(caught.exception).startswith(message), caught.exception)

    def test_of_what_only_a_run_knows(self):
        for given, message in (
            ({"seqlens": LONG + 1}, "seqlens[0]: expected 0 to 20"),
            ({"seqlens": LONG + 2**32}, "seqlens[0]: expected 0 to 20"),  # 20 in 32 bits
            ({"scale": float("inf")}, "scale: expected a finite number"),
        ):
            for _ in range(2):
                with self.assertRaises(RuntimeError) as caught:
                    jax.block_until_ready(attention(Q, Q, Q, **EXACT, **given))
                self.assertIn(message, str(caught.exception))

    def test_of_a_second_derivative(self):
        for transform in (lambda f: jax.grad(lambda q: jax.grad(f)(q).sum()), jax.hessian):
            with self.assertRaisesRegex(nysjit.Error, "expected to be differentiated once"):
                transform(lambda q: attention(q, Q, Q, **EXACT).sum())(jnp.asarray(Q))


class Pages(unittest.TestCase):
    def test_the_page_runs(self):
        page = (SOURCE / "docs/jax.md").read_text()
        blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
        self.assertEqual(len(blocks), 3)
        names = {}
        for block in blocks:
            exec(compile(block, "docs/jax.md", "exec"), names)
        self.assertEqual(names["o"].shape, (2, 12, 256, 64))
        with self.assertRaises(nysjit.Error) as caught:
            attention(Q, Q, Q[:, :, :7], layout="exact_causal")
        self.assertIn(f"`{caught.exception}`", page)

    def test_the_example_learns(self):
        words = [sys.executable, SOURCE / "examples/jax_attention.py"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        losses = [float(loss) for loss in re.findall(r"loss (\S+)", done.stdout)]
        self.assertEqual(len(losses), 4, done.stdout + done.stderr)
        self.assertLess(losses[-1], losses[0] / 2)


class Processes(unittest.TestCase):
    def test_callers_run_side_by_side(self):
        seeded(self.id())
        q, k, v = drawn(*[(2, 4, 100, 16)] * 3)

        @jax.jit
        def run(q, k, v):
            return jax.value_and_grad(lambda q: (attention(q, k, v, **CAUSAL) ** 2).sum())(q)

        right = run(q, k, v)
        for results in at_once(lambda: [jax.block_until_ready(run(q, k, v)) for _ in range(5)]):
            for result in results:
                self.assertTrue(bits_equal(result, right))

    def test_needs_no_pytorch(self):
        program = "import sys, nysjit.jax; assert 'torch' not in sys.modules"
        subprocess.run([sys.executable, "-c", program], check=True)


if __name__ == "__main__":
    unittest.main()
