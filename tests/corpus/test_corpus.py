"""Hundreds of bad slides and hostile models: each opens right, is repaired with a word, or refused.

A process of its own imports the heavy packages once and forks for each case, so that memory, time
and a crash of one touch no other. `make corpus` prints the same as a table.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from .cases import CASES
from .fuzz import READERS

ROOT = Path(__file__).parents[2]
KINDS = sorted({case.kind for case in CASES.values()})
SEED = os.environ.get("UMPIRE_FUZZ_SEED", "1")
TRIALS = os.environ.get("UMPIRE_FUZZ_TRIALS", "15")
pytestmark = [
    pytest.mark.corpus,
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="each case is a forked process"),
]


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.corpus", *words],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """Kind -> how each of its cases ended."""
    path = tmp_path_factory.mktemp("corpus") / "outcomes.jsonl"
    ran = run(*KINDS, "--json", str(path))
    assert path.exists(), ran.stderr
    ended = defaultdict(list)
    for line in path.read_text().splitlines():
        one = json.loads(line)
        ended[one["kind"]].append(one)
    return ended


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_else_happens(outcomes, kind):
    wrong = [f"{one['name']}: {one['fault']}" for one in outcomes[kind] if one["fault"]]
    assert not wrong, "\n".join(wrong)
    assert len(outcomes[kind]) == sum(case.kind == kind for case in CASES.values())


def test_random_damage_is_opened_or_refused():
    ran = run("fuzz", "--fuzz", TRIALS, "--seed", SEED)
    assert ran.returncode == 0, f"UMPIRE_FUZZ_SEED={SEED}\n{ran.stdout}\n{ran.stderr}"
    assert ran.stdout.count(f"{TRIALS} trials") == len(READERS)
