"""Position alone: the mean of the nearest training spots in registered coordinates, no image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_umpire.errors import InputError
from napari_umpire.faults import reading
from umpire_training.baselines.fold import Skipped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_umpire.slides.slide import Slide
    from umpire_training.baselines.fold import ControlFold

__all__ = ["nearest_in_position", "read_registration", "registered_positions"]

K = 8
_COORDINATES = (("warped_y", "warped_x"), ("y", "x"))


def nearest_in_position(fold: ControlFold) -> np.ndarray:
    """Mean expression of the 8 nearest training spots, (n_test, n_genes).

    Raises
    ------
    Skipped
        Where a section is not registered, or a spot of the held-out one has no coordinates: to
        fill them in would tell which spots they are.
    """
    from sklearn.neighbors import NearestNeighbors

    without = [s.name for s in (*fold.train, fold.test) if s.position is None]
    if without:
        # Sorted, so that all folds give the same reason.
        raise Skipped(f"no registered coordinates of {', '.join(sorted(without))}")
    position = np.concatenate([s.position for s in fold.train if s.position is not None])
    known = np.isfinite(position).all(axis=1)
    test = fold.test.position
    assert test is not None
    missing = int((~np.isfinite(test).all(axis=1)).sum())
    if missing:
        raise Skipped(f"{missing} spots of {fold.test.name} have no registered coordinates")
    if known.sum() < K:
        raise Skipped(f"only {int(known.sum())} registered training spots")
    near = NearestNeighbors(n_neighbors=K).fit(position[known]).kneighbors(test)[1]
    return fold.train_expression()[known][near].mean(axis=1)


def registered_positions(folder: str | Path, slides: Sequence[Slide]) -> list[np.ndarray | None]:
    """`read_registration` of each slide.

    Raises
    ------
    InputError
        Where the folder has a table for none of them.
    """
    positions = [read_registration(folder, slide) for slide in slides]
    if all(position is None for position in positions):
        raise InputError(
            f"The registration folder {folder} has a table for none of the slides",
            got=", ".join(sorted(p.name for p in Path(folder).iterdir())[:4]) or "an empty folder",
            expected=f"CSV or TSV files whose names start with those of the slides, such as "
            f"{slides[0].name}.csv",
            fix="Name another folder, or leave --registration out",
        )
    return positions


def read_registration(folder: str | Path, slide: Slide) -> np.ndarray | None:
    """Registered coordinates of a slide's spots.

    The folder holds one table per slide, its file name starting with the slide's name, then any
    other character than a letter or digit. It has the spot ids in a column "spot", or array
    coordinates in columns "x" and "y" (rounded and joined to "XxY", as her2st names its spots),
    and the registered coordinates in "warped_y" and "warped_x", or, beside "spot", "y" and "x".

    Returns
    -------
    (n_spots, 2) float64, NaN for spots that the table lacks; None where there is no table.

    Raises
    ------
    InputError
        Where there is no such folder, or the table lacks the columns.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"There is no registration folder {folder}")
    found = [
        path
        for path in sorted(folder.iterdir())
        if path.name.startswith(slide.name)
        and not path.name[len(slide.name) : len(slide.name) + 1].isalnum()
        and path.name.endswith((".csv", ".tsv", ".csv.gz", ".tsv.gz"))
    ]
    if not found:
        return None
    if len(found) > 1:
        raise InputError(
            f"The registration folder {folder} has several tables for slide {slide.name}",
            got=", ".join(path.name for path in found),
            expected="one table per slide",
        )
    path = found[0]
    with reading(f"{path} is not a registration table"):
        table = pd.read_csv(path, sep="\t" if ".tsv" in path.name else ",")
    columns = next((c for c in _COORDINATES if set(c) <= set(table.columns)), None)
    if "spot" in table:
        ids = table["spot"].astype(str)
    elif {"x", "y"} <= set(table.columns) and columns == _COORDINATES[0]:
        table = table.dropna(subset=["x", "y"])
        ids = (
            table["x"].round().astype(int).astype(str)
            + "x"
            + table["y"].round().astype(int).astype(str)
        )
    else:
        columns = None
    if columns is None:
        raise InputError(
            f"{path} is not a registration table",
            got=f"columns {', '.join(map(str, table.columns))}",
            expected="spot (or x and y), warped_y, warped_x",
        )
    values = table[list(columns)].set_axis(ids)
    values = values[~values.index.duplicated()]
    return values.reindex(slide.spots.index).to_numpy(np.float64)
