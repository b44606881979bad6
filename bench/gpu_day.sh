#!/usr/bin/env bash
# The day a GPU comes: everything that is to be known of the kernels on a GPU, in one run of at most
# eight minutes. Made ready on a machine without one, in a folder that needs nothing installed:
#
#   bench/gpu_day.sh prepare FOLDER [--targets cuda:sm_90,...] [--build BUILD] [--small]
#       the folder: programs for each target, this script and what it runs. Minutes of compiling.
#   FOLDER/gpu_day.sh run [--out RESULTS] [--seconds S] [--limit S] [--case-seconds S]
#                         [--device ptx-emulator --target NAME] [--small] [--break KIND:CASE]...
#       on the machine with the GPU: a driver is all it needs; PyTorch is measured, too, where
#       python3 has it. What matters most comes first; each step has a time limit of its own, at
#       most --limit, all of them together --seconds (470), and each case --case-seconds (20).
#       Every result is kept as it comes, in RESULTS/gpu_day.jsonl; what fails, hangs or crashes
#       stops nothing else.
#   FOLDER/gpu_day.sh report RESULTS
#       the report again, of what is there: gpu_day_NAME.md and .json (run makes it, too)
#
# RESULTS is FOLDER/results unless given. --small, --device, --target and --break are for
# rehearsals: tests/bench/gpu_day_test.py.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

die() {
  echo "gpu_day: $*" >&2
  exit 2
}

prepare() {
  [ $# -ge 1 ] || die "prepare FOLDER"
  local folder=$1 build=$here/../build
  small=""
  local targets=cuda:sm_80,cuda:sm_86,cuda:sm_89,cuda:sm_90,cuda:sm_100,cuda:sm_120
  shift
  while [ $# -gt 0 ]; do
    case $1 in
    --targets) targets=$2 && shift 2 ;;
    --build) build=$2 && shift 2 ;;
    --small) small=--small && shift ;;
    *) die "prepare: unknown word $1" ;;
    esac
  done
  mkdir -p "$folder/bundles" || exit 1
  cp "$here/gpu_day.sh" "$here/gpu_day/sdpa.py" "$build/bin/gpu_day" "$build/bin/nysjit" \
    "$build/lib/libnysjit_ptx_emulator.so" "$folder/" || exit 1
  cp -L "$build/lib/libnysjit.so.0" "$folder/" || exit 1
  if command -v strip >/dev/null; then
    strip "$folder/gpu_day" "$folder/nysjit" "$folder"/*.so* || exit 1
  fi
  git -C "$here" describe --always --dirty >"$folder/commit" 2>/dev/null
  work=$(mktemp -d) || exit 1
  trap 'rm -rf "$work"' EXIT
  local target
  for target in ${targets//,/ }; do
    echo "gpu_day: programs for $target ..."
    rm -f "$work"/*.nysjit
    programsFor "$target" "$build" || exit 1
    "$build/bin/gpu_day" pack "$folder/bundles/${target#cuda:}.xz" "$work"/*.nysjit || exit 1
  done
  du -sh --apparent-size "$folder"
}

# programsFor TARGET BUILD: a bundle of all specs, and one for each set of block sizes to try
programsFor() {
  local specs config number=10
  "$2/bin/gpu_day" specs $small >"$work/specs.json" || return 1
  bundle "$2" "$work/specs.json" "$1" "$work/a.nysjit" || return 1
  while read -r specs && read -r config; do
    echo "$specs" >"$work/sweep.json"
    echo "$config" >"$work/config.json"
    # blocks that exceed the target's shared memory are left out
    bundle "$2" "$work/sweep.json" "$1" "$work/b$number.nysjit" --config "$work/config.json" ||
      rm -f "$work/b$number.nysjit"
    number=$((number + 1))
  done < <("$2/bin/gpu_day" sweeps $small)
}

# bundle BUILD SPECS TARGET FILE [MORE]
bundle() {
  "$1/bin/nysjit" bundle "$2" --target "$3" -o "$4" "${@:5}" >/dev/null 2>"$work/log" && return
  tail -n 1 "$work/log" >&2
  return 1
}

# record KIND FIELDS: one line of the results
record() {
  printf '{"kind": "%s", %s}\n' "$1" "$2" >>"$results/gpu_day.jsonl"
}

# step NAME LIMIT COMMAND...: runs it, and says how it ended
step() {
  local name=$1 own=$2 left=$((deadline - SECONDS)) start=$SECONDS code status
  shift 2
  [ "$own" -le "$limit" ] || own=$limit
  [ "$own" -le "$left" ] || own=$left
  if [ -n "$interrupted" ] || [ "$own" -lt 2 ]; then
    record step "\"step\": \"$name\", \"status\": \"skipped\""
    return
  fi
  echo "gpu_day: $name"
  timeout --kill-after=3 "$own" "$@" >>"$results/gpu_day.log" 2>&1 &
  child=$!
  # A process that even a kill does not end is left behind.
  while kill -0 "$child" 2>/dev/null && [ $((SECONDS - start)) -le $((own + 6)) ]; do
    sleep 0.1
  done
  if kill -0 "$child" 2>/dev/null; then
    code=124
  else
    wait "$child" 2>/dev/null
    code=$?
  fi
  child=
  case $code in
  0) status=ended ;;
  124) status="timed out" ;;
  137) status="timed out" ;;
  *) status=failed && [ "$code" -gt 128 ] && status=crashed ;;
  esac
  [ -z "$interrupted" ] || status=interrupted
  record step "\"step\": \"$name\", \"status\": \"$status\", \"exit\": $code, \
\"seconds\": $((SECONDS - start)), \"limit\": $own"
  [ "$status" = ended ] || echo "gpu_day: $name: $status"
}

interrupt() {
  interrupted=yes
  [ -z "$child" ] || kill "$child" 2>/dev/null
}

report() {
  "$here/gpu_day" report --out "$results/gpu_day.jsonl" --folder "$results"
}

run() {
  local device=cuda seconds=470 small="" target="" options=() bundles=() layout
  interrupted= child= limit=1000
  while [ $# -gt 0 ]; do
    case $1 in
    --device) device=$2 && shift 2 ;;
    --target) target=$2 && shift 2 ;;
    --out) results=$2 && shift 2 ;;
    --seconds) seconds=$2 && shift 2 ;;
    --limit) limit=$2 && shift 2 ;;
    --small) small=--small && shift ;;
    --case-seconds) options+=(--case-seconds "$2") && shift 2 ;;
    --break) options+=(--break "$2") && shift 2 ;;
    *) die "run: unknown word $1" ;;
    esac
  done
  mkdir -p "$results" || exit 1
  [ ! -e "$results/gpu_day.jsonl" ] || mv "$results/gpu_day.jsonl" "$results/gpu_day.old.jsonl"
  deadline=$((SECONDS + seconds))
  trap interrupt INT TERM HUP
  record note "\"text\": \"Commit $(cat "$here/commit" 2>/dev/null || echo unknown).\""
  options+=(--device "$device" --out "$results/gpu_day.jsonl" $small)
  step device 30 "$here/gpu_day" device "${options[@]}" ${target:+--target "$target"}
  [ -n "$target" ] || target=$(sed -n 's/.*"target":"\([^"]*\)".*/\1/p' "$results/gpu_day.jsonl")
  unpacked=$(mktemp -d) || exit 1
  trap 'rm -rf "$unpacked"' EXIT
  "$here/gpu_day" unpack "$here/bundles/${target#cuda:}.xz" "$unpacked"
  for file in "$unpacked"/*.nysjit; do
    [ ! -e "$file" ] || bundles+=(--bundle "$file")
  done
  if [ ${#bundles[@]} -gt 0 ]; then
    allSteps
  else
    record note "\"text\": \"Nothing else was run: there are no programs for '$target' in \
$(ls "$here/bundles" | tr '\n' ' ').\""
  fi
  report
}

# What matters most comes first.
allSteps() {
  local main=(--target "$target" "${bundles[@]:0:2}" "${options[@]}") layout
  for layout in $("$here/gpu_day" layouts); do
    step "conformance $layout" 40 "$here/gpu_day" conformance --layout "$layout" "${main[@]}"
  done
  step rates 20 "$here/gpu_day" rates "${main[@]}"
  step times 120 "$here/gpu_day" times "${main[@]}"
  if command -v python3 >/dev/null; then
    step PyTorch 90 python3 "$here/sdpa.py" --out "$results/gpu_day.jsonl" $small
  else
    record note "\"text\": \"Without PyTorch: there is no python3.\""
  fi
  step launches 30 "$here/gpu_day" launches "${main[@]}"
  step long 90 "$here/gpu_day" long --case-seconds 60 "${main[@]}"
  step sweep 60 "$here/gpu_day" sweep --target "$target" "${bundles[@]}" "${options[@]}"
  step emulator 60 "$here/gpu_day" emulator "${main[@]}"
}

results=$here/results
[ $# -ge 1 ] || die "prepare FOLDER, run or report RESULTS"
command=$1
shift
case $command in
prepare) prepare "$@" ;;
run) run "$@" ;;
report)
  results=${1:-$results}
  report
  ;;
*) die "expected prepare, run or report, found $command" ;;
esac
