"""Attention in JAX: one layer learns to say what came nine positions before (docs/jax.md)."""

import jax
import jax.numpy as jnp

from nysjit.jax import attention

LENGTH, HEADS, SIZE = 128, 4, 16
keys = jax.random.split(jax.random.key(0), 4)
x = jax.random.normal(keys[0], (8, LENGTH, HEADS * SIZE))
places = jnp.eye(LENGTH)
weights = {
    "places": jax.random.normal(keys[1], (2, LENGTH, HEADS * SIZE)),
    "values": jax.random.normal(keys[2], (HEADS * SIZE, HEADS * SIZE)) / 8,
    "out": jax.random.normal(keys[3], (HEADS * SIZE, HEADS * SIZE)) / 8,
}


def loss(weights):
    q, k = (jnp.broadcast_to(places @ w, x.shape) for w in weights["places"])
    q, k, v = (
        y.reshape(8, LENGTH, HEADS, SIZE).swapaxes(1, 2) for y in (q, k, x @ weights["values"])
    )
    o = attention(q, k, v, layout="causal", segment_len=16, window=1)
    found = o.swapaxes(1, 2).reshape(x.shape) @ weights["out"]
    return ((found[:, 9:] - x[:, :-9]) ** 2).mean()


@jax.jit
def step(weights):
    value, gradient = jax.value_and_grad(loss)(weights)
    return value, jax.tree.map(lambda w, g: w - 0.01 * jnp.sign(g), weights, gradient)


for i in range(301):
    value, weights = step(weights)
    if i % 100 == 0:
        print(f"step {i:3}  loss {value:.3f}", flush=True)
