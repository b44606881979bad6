#!/usr/bin/env bash
# Sets the machine up, builds everything and runs all tests: units, IR (lit), conformance, examples.
# Ends with what was skipped and why, and with the time that each part took.
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
nysjit_timed testing run_tests
