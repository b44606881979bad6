#!/usr/bin/env bash
# run.sh SECONDS [TARGET...]: builds the fuzz preset and fuzzes the targets (all without one), each
# for its share of the seconds, from its corpus on. An input that breaks something is kept in
# build/fuzz/findings and named; the script then fails. What the fuzzers gather stays in
# build/fuzz/corpus for the next run.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
build=$root/build/fuzz
seconds=${1:?expected a number of seconds}
shift
targets=("$@")
[ $# -gt 0 ] || targets=(spec config npy entry bundle plan wire tune ptx)

cd "$root"
cmake --preset fuzz
cmake --build --preset fuzz
mkdir -p "$build/findings"

# 10 KB in more than 10 s or 1 GiB is a finding; sanitized code is ten times as slow and as large.
limits=(-max_len=10240 -timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=512)
export UBSAN_OPTIONS=print_stacktrace=1 ASAN_OPTIONS=detect_leaks=1

share=$((seconds / ${#targets[@]}))

# fuzz TARGET: the corpus once, as it is; then changes of it.
fuzz() {
  local target=$1 gathered=$build/corpus/$1 given=tests/fuzz/corpus/$1
  local run=("$build/bin/fuzz_$target" "${limits[@]}"
    -artifact_prefix="$build/findings/$target-")
  mkdir -p "$gathered"
  "${run[@]}" -runs=0 -max_len=1048576 "$given" || return 1
  [ "$share" -eq 0 ] && return 0
  "${run[@]}" -max_total_time="$share" -print_final_stats=1 \
    -dict="tests/fuzz/dictionaries/$target.dict" "$gathered" "$given"
}

status=0
for target in "${targets[@]}"; do
  log=$build/findings/$target.log
  if fuzz "$target" >"$log" 2>&1; then
    runs=$(sed -n 's/stat::number_of_executed_units: *//p' "$log")
    printf 'fuzz %s: %s runs in %s s, nothing found\n' "$target" "${runs:-0}" "$share"
  else
    status=1
    printf 'fuzz %s: found something, %s says it all\n' "$target" "$log"
    grep -E 'SUMMARY|ERROR|runtime error|property does not|Test unit written|^Base64' "$log" ||
      true
  fi
done
exit "$status"
