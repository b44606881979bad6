#!/usr/bin/env bash
# sanitize.sh PRESET [REGEX]: builds and runs the tests (those that match, or all) with sanitizers.
#
#   asan      AddressSanitizer and UndefinedBehaviorSanitizer over everything
#   ubsan     UndefinedBehaviorSanitizer over everything
#   tsan      ThreadSanitizer over all but the compiler, which is the release build's: kernels are
#             what they are in use, and races in how they are handed over show
#   fuzz      as asan, without the compiler and what needs it; the fuzzers' build
#   threads   as tsan, over the runtime's tests that have threads: no compiler, a minute
set -euo pipefail
preset=${1:?expected asan, ubsan, tsan, fuzz or threads}
regex=${2:-.}
cd "$(dirname "$0")/.."

export UBSAN_OPTIONS=print_stacktrace=1
export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1
export ASAN_OPTIONS=detect_leaks=1
case $preset in
  asan) # what LLVM's headers poison here, the packaged library uses without unpoisoning it
    ASAN_OPTIONS+=:allow_user_poisoning=0:detect_container_overflow=0 ;;
  tsan)
    if [ ! -x build/bin/nysjit-compiler ]; then
      cmake --preset release
      cmake --build --preset release --target nysjit_compiler
    fi ;;
  threads)
    cmake --preset tsan
    exec cmake --build build/tsan --target check_threads ;;
esac
cmake --preset "$preset"
cmake --build "build/$preset"
ctest --test-dir "build/$preset" --output-on-failure --progress -j "$(nproc)" -R "$regex"
