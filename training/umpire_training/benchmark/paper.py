"""The paper's own numbers, to stand beside ours: paper_numbers.csv, each with its source."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from napari_umpire.errors import InputError

__all__ = ["DATA", "paper_cell", "paper_table", "is_paper_data"]

DATA: dict[str, tuple[int, int]] = {
    "HLT": (4, 9254),
    "HPC": (5, 14783),
    "HER2+": (32, 11509),
    "DLPFC": (12, 47329),
    "10X Breast": (1, 3789),
}
"""Data set of the paper -> sections and spots (appendix D.3)."""


def paper_table(source: str) -> pd.DataFrame:
    """The numbers of one table or figure.

    Columns: row, data ("" where it is of none), score, mean, sd (NaN where the paper gives none),
    unit, printed (mean ± sd with the paper's digits). Figures that print no numbers have none here,
    and spellings of methods are those of the paper's Table 1.
    """
    path = Path(__file__).with_name("paper_numbers.csv")
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    table = table[table["source"] == source].drop(columns="source").reset_index(drop=True)
    spread = (" ± " + table["sd"]).where(table["sd"] != "", "")
    return table.assign(
        printed=table["mean"] + spread,
        mean=pd.to_numeric(table["mean"]),
        sd=pd.to_numeric(table["sd"].where(table["sd"] != "")),
    )


def paper_cell(source: str, row: str, data: str, score: str) -> str:
    """One number as the paper prints it, "" where it has none.

    Raises
    ------
    InputError
        Where the paper's table has no such row at all.
    """
    table = paper_table(source)
    if not row:
        return ""
    if row not in set(table["row"]):
        raise InputError(
            f"{source} of the paper has no row {row!r}",
            expected=", ".join(dict.fromkeys(table["row"])) or "none: it prints no numbers",
        )
    found = table[(table["row"] == row) & (table["data"] == data) & (table["score"] == score)]
    return "" if found.empty else str(found["printed"].iloc[0])


def is_paper_data(data: str, n_sections: int, n_spots: int) -> bool:
    """Whether so many sections and spots can be the paper's data set ``data``."""
    return DATA.get(data) == (n_sections, n_spots)
