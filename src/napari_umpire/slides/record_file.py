"""The file that repeats a run, beside the store or the table that the run made."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from napari_umpire.files import belongs_to, shortened

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["record_beside"]


@contextmanager
def record_beside(
    text: str | None, store: Path, element: str, *, scratch: Path, of: Path
) -> Iterator[Path | None]:
    """Put a record beside ``store`` before the block, in which what it is about appears.

    A record whose run was ended in between means nothing: it goes where the block fails, and with
    the scratch folder of a process that was killed.

    Parameters
    ----------
    text
        The record; None: nothing is written.
    store
        The store, or the file of a table alone.
    element
        Name of the table; "" for a table alone.
    scratch
        A folder of `files.scratch_beside`, beside ``store``.
    of
        What appears in the block, by one rename.

    Yields
    ------
    Path | None
        The file, under a name that was free.

    Raises
    ------
    OSError
        Where the disk refuses.
    """
    if text is None:
        yield None
        return
    path = _free(store, element)
    part = scratch / path.name
    part.write_text(text, encoding="utf-8")
    belongs_to(scratch, path, of)
    os.rename(part, path)
    try:
        yield path
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _free(store: Path, element: str) -> Path:
    stem, number = shortened(f"{store.stem}.{element}".removesuffix("."), 240), 1
    while True:
        tail = "" if number == 1 else f".{number}"  # taken by a store that was removed since
        path = store.with_name(f"{stem}{tail}.yaml")
        if not os.path.lexists(path):
            return path
        number += 1
