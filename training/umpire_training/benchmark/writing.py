"""Tables on disk: a file appears whole, so that a killed run leaves the old one as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_umpire.files import replace_file

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import pandas as pd

__all__ = ["write_csv", "write_lines"]


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """Write the columns of ``frame``, without its index."""
    with replace_file(path) as written:
        frame.to_csv(written, index=False)


def write_lines(path: Path, lines: Iterable[str]) -> str:
    """Write ``lines`` as a text file, and return the text."""
    text = "\n".join(lines)
    with replace_file(path) as written:
        written.write_text(text, encoding="utf-8")
    return text
