"""Run the named benchmarks in order, or all of them."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from benchmarks.harness import machine

NOT_BENCHMARKS = {"__init__", "__main__", "harness"}


def available() -> list[str]:
    found = {p.stem for p in Path(__file__).parent.glob("*.py")}
    return sorted(n for n in found - NOT_BENCHMARKS if not n.startswith("_"))


def main(names: list[str]) -> int:
    known = available()
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"No benchmark {', '.join(unknown)}. There are: {', '.join(known)}.", file=sys.stderr)
        return 2
    print(machine())
    for name in names or known:
        importlib.import_module(f"benchmarks.{name}").run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
