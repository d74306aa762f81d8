"""`python -m benchmarks NAME`: run one benchmark by its name."""

from __future__ import annotations

import importlib
import pkgutil
import sys

import benchmarks


def main(arguments: list[str]) -> int:
    """Run the named benchmark with the remaining arguments; list the names without one."""
    names = [m.name for m in pkgutil.iter_modules(benchmarks.__path__) if not m.name.startswith("_")]
    if not arguments or arguments[0] not in names:
        print(f"usage: python -m benchmarks NAME, with NAME one of {', '.join(names)}")
        return 2
    importlib.import_module(f"benchmarks.{arguments[0]}").main(arguments[1:])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
