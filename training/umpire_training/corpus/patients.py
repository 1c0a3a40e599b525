"""Which slide is of which patient, and the status of each: a table that is checked as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_umpire.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["COLUMNS", "Patients", "read_patient_of", "read_patients"]

COLUMNS = ("slide", "patient", "label")


@dataclass(frozen=True, eq=False)
class Patients:
    """Patients in alphabetical order.

    Attributes
    ----------
    names
        (n,) str.
    codes
        (n,) int64, place in ``classes``.
    classes
        Names of the classes, in alphabetical order.
    slides
        The slides of each patient, in the order of the table.
    """

    names: tuple[str, ...]
    codes: np.ndarray
    classes: tuple[str, ...]
    slides: tuple[tuple[str, ...], ...]

    @property
    def counts(self) -> tuple[int, ...]:
        """Patients of each class."""
        return tuple(np.bincount(self.codes, minlength=len(self.classes)).tolist())

    def to_frame(self) -> pd.DataFrame:
        """A row per slide, as in the table that was read."""
        rows = [
            (slide, name, self.classes[code])
            for name, code, slides in zip(self.names, self.codes, self.slides, strict=True)
            for slide in slides
        ]
        return pd.DataFrame(rows, columns=list(COLUMNS))


def read_patients(path: str | Path, slides: Iterable[str]) -> Patients:
    """Read the table of labels and check it against the slides at hand.

    Parameters
    ----------
    path
        CSV, or TSV by its ending, with the columns slide, patient and label; others are ignored.
    slides
        Names of the slides.

    Raises
    ------
    InputError
        With all problems at once: a missing column or value, a slide that is not there or has no
        row, or two; a patient with two labels; fewer than two classes.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"There is no table of labels at {path}", fix="Check --labels")
    table = _read(path, COLUMNS)
    names = list(slides)
    problems = []
    empty = table[table.isna().any(axis=1)]
    if len(empty):
        said = ", ".join(empty["slide"].fillna("?").astype(str).head(3))
        problems.append(f"no patient or label for {said}{_more(len(empty))}")
    table = table.dropna()
    unknown = sorted(set(table["slide"]) - set(names))
    if unknown:
        problems.append(f"no slide is called {', '.join(unknown[:3])}{_more(len(unknown))}")
    bare = sorted(set(names) - set(table["slide"]) - set(empty["slide"].dropna()))
    if bare:
        problems.append(f"no row for the slide {', '.join(bare[:3])}{_more(len(bare))}")
    twice = sorted(set(table["slide"][table["slide"].duplicated()]))
    if twice:
        problems.append(f"more than one row for {', '.join(twice[:3])}{_more(len(twice))}")
    kinds = table.groupby("patient")["label"].unique()
    for patient, labels in kinds[kinds.map(len) > 1].head(3).items():
        problems.append(f"patient {patient} has the labels {' and '.join(sorted(labels))}")
    classes = tuple(sorted(set(table["label"])))
    if len(classes) < 2:
        problems.append(f"only one class, {classes[0]}" if classes else "no label at all")
    if problems:
        raise InputError(
            f"The labels in {path} cannot be used",
            got="; ".join(problems),
            expected=f"a row for each of the slides {', '.join(names[:4])}{_more(len(names), 4)}",
            fix="Mend the table, or name other slides",
        )
    grouped = table.groupby("patient", sort=True)
    order = tuple(str(name) for name, _ in grouped)
    return Patients(
        names=order,
        codes=np.array([classes.index(rows["label"].iloc[0]) for _, rows in grouped], np.int64),
        classes=classes,
        slides=tuple(tuple(rows["slide"]) for _, rows in grouped),
    )


def read_patient_of(path: str | Path, names: Sequence[str]) -> dict[str, str]:
    """Slide -> patient from a CSV with the columns slide and patient; other rows are ignored.

    Raises
    ------
    InputError
        For a file that is no such table, a slide without a patient, or with two.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"There is no table of patients at {path}", fix="Check --patients")
    rows = _read(path, ("slide", "patient")).dropna().drop_duplicates()
    twice = sorted(set(rows["slide"][rows["slide"].duplicated()]) & set(names))
    unknown = sorted(set(names) - set(rows["slide"]))
    if twice or unknown:
        said = [f"no patient of {name}" for name in unknown]
        said += [f"two patients of {name}" for name in twice]
        raise InputError(
            f"The patients in {path} do not fit the slides",
            got="; ".join(said[:4]) + (" and more" if len(said) > 4 else ""),
            expected="one patient for each slide",
            fix="Mend the table",
        )
    found = dict(zip(rows["slide"], rows["patient"], strict=True))
    return {name: found[name] for name in names}


def _read(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """The named columns as text; NaN where a cell is empty."""
    sep = "\t" if path.suffix.lower() in (".tsv", ".txt") else ","
    try:
        # utf-8-sig: spreadsheets put a mark before the first column's name.
        table = pd.read_csv(path, sep=sep, dtype=str, encoding="utf-8-sig", skipinitialspace=True)
    except (ValueError, OSError) as error:  # pandas' own errors are ValueErrors
        raise InputError(f"{path} is not a table", got=error, expected="a CSV file") from error
    table.columns = table.columns.str.strip().str.lower()
    missing = [c for c in columns if c not in table.columns]
    if missing:
        raise InputError(
            f"{path} lacks the column {', '.join(missing)}",
            got=", ".join(table.columns),
            expected=", ".join(columns),
        )
    kept = table[list(columns)].apply(lambda column: column.str.strip())
    return kept.replace("", np.nan)


def _more(n: int, shown: int = 3) -> str:
    return f" and {n - shown} more" if n > shown else ""
