"""Lets `python3 -m tests.cluster` work from a fresh checkout."""

import sys

from tests.cluster.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
