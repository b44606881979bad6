#!/usr/bin/env bash
# Sets the machine up, builds everything and runs all tests: units, IR (lit), conformance, examples.
set -euo pipefail
cd "$(dirname "$0")/.."
source .ci/setup.sh

nysjit_install
nysjit_build

nysjit_say "running the tests, ctest's log is in build/Testing/Temporary"
ctest --test-dir build --output-on-failure --progress -j "$(nproc)"
