"""python -m nysjit: the command line that the package brings."""

import os
import sys

from nysjit import _library


def main():
    """Becomes bin/nysjit, with the same arguments."""
    command = str(_library.path("bin/nysjit"))
    os.execv(command, [command, *sys.argv[1:]])


if __name__ == "__main__":
    main()
