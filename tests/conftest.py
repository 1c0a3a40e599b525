"""What every test may ask for: the folder of real data, and single-threaded numerics."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def _data_dir() -> Path | None:
    named = os.environ.get("UMPIRE_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    return folder if folder.is_dir() else None


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real slides; the test is skipped where it is absent."""
    folder = _data_dir()
    if folder is None:
        pytest.skip("no real data: set UMPIRE_DATA to its folder")
    return folder


@pytest.fixture(scope="session")
def her2st(data_dir: Path) -> Path:
    """The her2st collection: five H&E sections with counts, 31 more with counts only."""
    return data_dir / "her2st"
