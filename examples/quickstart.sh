#!/usr/bin/env bash
# From a JSON spec to a tensor on the CPU: sets the machine up, builds, compiles `causal` for real queries, keys and
# values, runs it twice (compiled, then from the cache), measures its errors and draws what the layout sees.
set -euo pipefail
cd "$(dirname "$0")/.."
source .ci/setup.sh

nysjit_install
nysjit_build nysjit nysjit_compiler npy_error layout_picture

out=build/quickstart
rm -rf "$out"
mkdir -p "$out"
export NYSJIT_CACHE_DIR=$out/cache # its own, so that the first run compiles
tensors=(--q examples/data/q.npy --k examples/data/k.npy --v examples/data/v.npy)

nysjit_say "first run of examples/causal.json: the program is compiled"
build/bin/nysjit run examples/causal.json "${tensors[@]}" -o "$out/causal.npy" --check --repeat 20
nysjit_say "second run: the program comes from the cache"
build/bin/nysjit run examples/causal.json "${tensors[@]}" -o "$out/causal.npy" --check --repeat 20

nysjit_say "the same tensors by exact attention"
build/bin/nysjit run examples/exact_causal.json "${tensors[@]}" -o "$out/exact.npy" --check --repeat 20
printf '\nerror of causal against exact attention: %s (relative, all heads)\n' "$(build/bin/npy_error "$out/causal.npy" "$out/exact.npy")"

nysjit_say "what the layout sees"
build/bin/layout_picture examples/data "$out/layout.svg"
printf '\nDone. Open %s/layout.svg; the outputs are %s/causal.npy and %s/exact.npy.\n' "$out" "$out" "$out"
