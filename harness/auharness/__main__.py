"""`python -m auharness` is the command `auharness`."""

import sys

from auharness.cli import main

if __name__ == "__main__":
    sys.exit(main())
