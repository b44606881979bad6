#!/usr/bin/env bash
# Sets the machine up, builds everything and runs all tests: units, IR (lit), conformance, examples;
# then looks for races and fuzzes the parsers for a little. Says what was skipped and why, and ends
# with the time that each part took.
set -euo pipefail
cd "$(dirname "$0")/.."
source .ci/setup.sh

run_tests() {
  local results=$PWD/build/tests.xml status=0
  nysjit_say "running the tests, ctest's log is in build/Testing/Temporary"
  ctest --test-dir build --output-on-failure --progress -j "$(nproc)" \
    --output-junit "$results" --test-output-size-passed 100000 || status=$?
  nysjit_say "$(python3 .ci/skips.py "$results")"
  return "$status"
}

nysjit_timed installing nysjit_install
nysjit_timed "configuring and building" nysjit_build
nysjit_timed "making an environment for Python" tests/python/environment.sh
nysjit_timed testing run_tests
# What a few minutes allow; CONTRIBUTING.md says how to do more.
nysjit_timed "building and running threads with ThreadSanitizer" tests/sanitize.sh threads
nysjit_timed "building fuzzers and fuzzing" tests/fuzz/run.sh 28
