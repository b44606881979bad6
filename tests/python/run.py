"""Runs one file of tests in the environment that has PyTorch, with the package that was installed.

usage: run.py BUILD_DIR TEST.py [argument of unittest...]

Exits with 77, a skipped test for ctest, where there is no such environment.
"""

import os
import pathlib
import subprocess
import sys

BUILD = pathlib.Path(sys.argv[1]).resolve()


def interpreter():
    """A Python with PyTorch, or None."""
    given = os.environ.get("NYSJIT_TEST_PYTHON")
    made = BUILD / "python-env"
    if given:
        return given
    return str(made / "bin/python") if (made / "ready").exists() else None


def main():
    python = interpreter()
    if python is None:
        print("skipped: no Python with PyTorch (tests/python/environment.sh makes one)")
        sys.exit(77)
    environment = {
        **os.environ,
        "PYTHONPATH": str(BUILD / "python-site"),
        "PYTHONDONTWRITEBYTECODE": "1",
        # The programs of other tests, which have compiled most of these specs: of the build's
        # worker.
        "NYSJIT_CACHE_DIR": str(BUILD / "test-cache"),
        "NYSJIT_COMPILER": str(BUILD / "bin/nysjit-compiler"),
        "TORCHINDUCTOR_CACHE_DIR": str(BUILD / "python-inductor"),
        "NYSJIT_TEST_BUILD": str(BUILD),
        # Tests run beside each other: threads that wait for a turn of others' would spin.
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "passive",
    }
    environment.pop("NYSJIT_CONFIGS", None)
    sys.exit(subprocess.run([python, *sys.argv[2:], "-v"], env=environment).returncode)


if __name__ == "__main__":
    main()
