"""Asks where to, and saves a table as CSV."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari.utils.notifications import show_error, show_info
from qtpy.QtWidgets import QFileDialog

from napari_umpire.errors import InputError
from napari_umpire.inference.predictions.csv_file import write_csv

if TYPE_CHECKING:
    import pandas as pd
    from qtpy.QtWidgets import QWidget

__all__ = ["save_table"]


def save_table(parent: QWidget, frame: pd.DataFrame, name: str, notes: str = "") -> Path | None:
    """Ask for a file and write ``frame`` to it.

    Parameters
    ----------
    name
        Suggested file name, without suffix.
    notes
        What stands above the table: the protocol, without which its numbers say nothing.

    Returns
    -------
    The file; None where the user thought better of it, or it could not be written, which is said.
    """
    safe = "".join(c if c.isalnum() or c in "-_." else "_" for c in name)
    path, _ = QFileDialog.getSaveFileName(parent, "Save the table", f"{safe}.csv", "CSV (*.csv)")
    if not path:
        return None
    try:
        written = write_csv(frame, Path(path), notes)
    except InputError as error:
        show_error(str(error))
        return None
    show_info(f"Saved {len(frame):,} rows to {written}.")
    return written
