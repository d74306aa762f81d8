"""`python -m atmpsim` is the command `atmpsim`."""

import sys

from atmpsim.cli import main

if __name__ == "__main__":
    sys.exit(main())
