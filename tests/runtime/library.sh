#!/bin/sh
# The runtime library as its users get it: at most 1 MB stripped, no LLVM among its dependencies,
# and no symbol of its own visible that is not nysjit_*. Usage: library.sh LIBRARY
set -eu
library=$1
stripped=$(mktemp)
trap 'rm -f "$stripped"' EXIT
strip -o "$stripped" "$library"
bytes=$(stat -c %s "$stripped")
test "$bytes" -le 1048576 ||
  { echo "expected at most 1048576 bytes stripped, found $bytes"; exit 1; }
needed=$(readelf -d "$library" | grep NEEDED)
case $needed in *LLVM* | *MLIR*) echo "expected no LLVM, found: $needed"; exit 1 ;; esac
others=$(nm -D --defined-only "$library" | awk '$2 != "A" && $3 !~ /^nysjit_/')
test -z "$others" || { echo "expected nysjit_* symbols only, found: $others"; exit 1; }
echo "$bytes bytes stripped"
