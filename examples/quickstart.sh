#!/usr/bin/env bash
# From a JSON spec to a tensor on the CPU: sets the machine up, builds, compiles `causal` for real
# queries, keys and values, runs it twice (compiled, then from the cache), measures its errors and
# draws what the layout sees. Ends with the time that each part took.
set -euo pipefail
cd "$(dirname "$0")/.."
source .ci/setup.sh

nysjit_timed installing nysjit_install
nysjit_timed "configuring and building" \
  nysjit_build nysjit nysjit_compiler nysjit_runtime nysjit_ptx_emulator npy_error layout_picture

out=build/quickstart
rm -rf "$out"
mkdir -p "$out"
export NYSJIT_CACHE_DIR=$out/cache # its own, so that the first run compiles
tensors=(--q examples/data/q.npy --k examples/data/k.npy --v examples/data/v.npy)
run() { # LAYOUT OUTPUT
  build/bin/nysjit run "examples/$1.json" "${tensors[@]}" -o "$2" --check --repeat 20
}

nysjit_say "first run of examples/causal.json: the program is compiled"
nysjit_timed "first run" run causal "$out/causal.npy"
nysjit_say "second run: the program comes from the cache"
nysjit_timed "second run" run causal "$out/causal.npy"

nysjit_say "the same tensors by exact attention"
nysjit_timed "exact attention" run exact_causal "$out/exact.npy"
error=$(build/bin/npy_error "$out/causal.npy" "$out/exact.npy")
printf '\nerror of causal against exact attention: %s (relative, all heads)\n' "$error"

nysjit_say "what the layout sees"
nysjit_timed "the picture" build/bin/layout_picture examples/data "$out/layout.svg"
printf '\nDone. Open %s/layout.svg; the outputs are causal.npy and exact.npy beside it.\n' "$out"
