"""Commands that must succeed, and tests that cannot be run here."""

import subprocess
import unittest


def run(*command, **options):
    """What a command prints; it must succeed."""
    done = subprocess.run([str(word) for word in command], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, **options)
    if done.returncode != 0:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def skip(what, why):
    """Skips a test, and has the end of tests/run.sh say so."""
    print(f"\nnote: {what}: skipped, {why}", flush=True)
    raise unittest.SkipTest(why)
