#!/usr/bin/env bash
# Makes the environment of tests/python in build/python-env, once: PyTorch's CPU wheel and numpy,
# and where they can be had the originals that modules are compared with, JAX, and what builds a
# wheel. Where pip finds no PyTorch it says so, and the tests are skipped. NYSJIT_TEST_PYTHON names
# another Python, which has them.
set -euo pipefail
cd "$(dirname "$0")/../.."
environment=build/python-env
torch='torch==2.13.0+cpu'

if [ -n "${NYSJIT_TEST_PYTHON:-}" ]; then
  echo "the tests of Python take $NYSJIT_TEST_PYTHON"
  exit 0
fi
[ -e "$environment/ready" ] && exit 0
skip() {
  rm -rf "$environment"
  echo "note: tests/python: skipped, $1"
  exit 0
}
rm -rf "$environment"
python3 -m venv "$environment" || skip "python3 has no venv"
pip=("$environment/bin/python" -m pip install --quiet --disable-pip-version-check --prefer-binary)
"${pip[@]}" "$torch" numpy ||
  skip "pip finds no $torch (an index of PyTorch's CPU wheels in pip's configuration helps)"
"${pip[@]}" transformers==5.24.0 nystrom-attention "$torch" ||
  echo "note: tests/python: the modules' originals could not be installed"
"${pip[@]}" 'jax[cpu]==0.10.2' || echo "note: tests/python: JAX could not be installed"
"${pip[@]}" scikit-build-core==1.1.2 ||
  echo "note: tests/python: scikit-build-core could not be installed"
touch "$environment/ready"
