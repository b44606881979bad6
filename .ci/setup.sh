# Sourced by examples/quickstart.sh and tests/run.sh: brings a Debian 12 machine to where it builds.
#
#   nysjit_install    installs the Debian packages that are missing; where it may not, prints the
#                     command and stops
#   nysjit_build T…   configures build/ and builds the targets T… (all of them without T), with
#                     Ninja's progress
#   nysjit_timed PART COMMAND…   runs the command as a part of the script: when the script ends it
#                     says how long each part took

nysjit_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
nysjit_build_dir=$nysjit_root/build

# LLVM 22 comes with Debian 12's security updates, which a stock sources list holds.
nysjit_packages=(
  build-essential cmake ninja-build
  libmlir-22-dev mlir-22-tools llvm-22-dev llvm-22-tools liblld-22-dev
  libzstd-dev liblzma-dev libedit-dev libcurl4-openssl-dev zlib1g-dev libxml2-dev
  nlohmann-json3-dev libcli11-dev libdlpack-dev libxxhash-dev libmbedtls-dev
  clang-22 libclang-rt-22-dev clang-format-22
  libgtest-dev libgmock-dev python3 python3-venv pkg-config
)

nysjit_say() { printf '\n== %s\n' "$*"; }

nysjit_times=()
nysjit_timed() {
  local part=$1 start=$SECONDS
  shift
  nysjit_times+=("$part, not done")
  "$@"
  nysjit_times[-1]="$part $((SECONDS - start)) s"
}
nysjit_say_times() {
  local times
  [ ${#nysjit_times[@]} -eq 0 ] && return 0
  printf -v times '%s; ' "${nysjit_times[@]}"
  nysjit_say "times: ${times%; }"
}
trap nysjit_say_times EXIT

nysjit_is_installed() {
  dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed
}

nysjit_install() {
  local missing=() package
  for package in "${nysjit_packages[@]}"; do
    nysjit_is_installed "$package" || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  local as_root=() install=(apt-get install -y --no-install-recommends "${missing[@]}")
  if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
      as_root=(sudo)
    else
      printf 'nysjit needs Debian packages that are not installed, and may not install them.\n'
      printf 'Run this, then try again:\n\n'
      printf '  sudo apt-get update && sudo %s\n' "${install[*]}"
      exit 1
    fi
  fi >&2
  nysjit_say "installing ${missing[*]}"
  "${as_root[@]}" apt-get update -q
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive "${install[@]}" -q
}

nysjit_build() {
  nysjit_say "configuring and building in build/"
  (cd "$nysjit_root" && cmake --preset release)
  local targets=()
  [ $# -gt 0 ] && targets=(--target "$@")
  NINJA_STATUS='[%f/%t %es] ' cmake --build "$nysjit_build_dir" "${targets[@]}"
}
