"""Run the corpus, and print how many of each kind opened, were repaired, or were refused.

    python -m tests.corpus [KIND or NAME ...] [--jobs 2] [--fuzz 300] [--seed 1] [--verbose]

The exit code is 1 where anything else happened: a traceback, a hang, a blow-up of memory, an error
of the system passed on, or a value that is wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from .cases import CASES
from .fuzz import READERS, fuzz
from .runner import VERDICTS, make_base, run_cases, warm


def main() -> int:
    """Run what was asked for; all where nothing was."""
    parser = argparse.ArgumentParser(prog="python -m tests.corpus")
    parser.add_argument("only", nargs="*", help='kinds or names of cases, or "fuzz"; default: all')
    parser.add_argument("--jobs", type=int, default=2, help="processes at once")
    parser.add_argument("--seconds", type=float, default=60, help="the longest that one may take")
    parser.add_argument("--fuzz", type=int, default=300, help="trials of random damage per reader")
    seed = int(os.environ.get("UMPIRE_FUZZ_SEED", "1"))
    parser.add_argument("--seed", type=int, default=seed, help="of the random damage")
    parser.add_argument("--verbose", action="store_true", help="say of each how it ended")
    parser.add_argument("--json", type=Path, help="file that takes a line for each case")
    options = parser.parse_args()
    only = set(options.only)
    chosen = [c for c in CASES.values() if not only or {c.name, c.kind} & only]
    warm()
    counts: Counter[tuple[str, str]] = Counter()
    found = 0
    with ExitStack() as stack:
        base = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="corpus_base_")))
        told = None if options.json is None else stack.enter_context(options.json.open("w"))
        make_base(base)
        for end in run_cases(chosen, base, jobs=options.jobs, seconds=options.seconds):
            counts[end.kind, end.verdict] += 1
            if told is not None:
                print(json.dumps(asdict(end)), file=told, flush=True)
            if options.verbose or end.fault is not None:
                words = " ".join((end.fault or end.said).split())
                print(f"{end.verdict:14} {end.kind:14} {end.name}: {words}", flush=True)
        for reader in READERS if not only or only & {"fuzz", *READERS} else ():
            if only & set(READERS) and reader not in only:
                continue
            for one in fuzz(reader, base, seed=options.seed, trials=options.fuzz):
                found += 1
                print(f"fuzz {reader} {one.trial}: {one.how}: {one.what}", flush=True)
            print(f"fuzz {reader}: {options.fuzz} trials, seed {options.seed}", flush=True)
    print(f"\n{'kind':14}" + "".join(f"{verdict:>15}" for verdict in VERDICTS))
    for kind in [*sorted({kind for kind, _ in counts}), ""]:
        per = (
            sum(n for (k, v), n in counts.items() if v == verdict and kind in (k, ""))
            for verdict in VERDICTS
        )
        print(f"{kind or 'all':14}" + "".join(f"{n:15}" for n in per))
    wrong = found + sum(n for (_, verdict), n in counts.items() if verdict == VERDICTS[-1])
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
