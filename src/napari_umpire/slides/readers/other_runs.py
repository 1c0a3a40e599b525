"""Outputs of Space Ranger that are no slide of spots, and what to open in their place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_umpire.errors import InputError
from napari_umpire.files import listed
from napari_umpire.slides.readers.run_files import is_spatial

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["what_else"]

_BINS, _CELLS = "binned_outputs", "segmented_outputs"
_OF_CELLS = ("cell_segmentations.geojson", "filtered_feature_cell_matrix.h5")


def what_else(path: Path) -> InputError | None:
    """What a folder of Space Ranger's is that holds no spots of its own; None for any other.

    Bins of Visium HD in several sizes, segmented cells, runs joined by ``spaceranger aggr``, and a
    ``spatial`` folder that has another name.
    """
    for run in (path, path / "outs"):
        if (run / _BINS).is_dir():
            bins = [p.name for p in listed(run / _BINS) if p.is_dir()]
            return InputError(
                f"{path.name} is a Visium HD run with several bin sizes",
                got=", ".join(bins) or "none",
                fix=f"Open one of the folders in {_BINS}",
            )
    for run in (path, path / _CELLS, path / "outs" / _CELLS):
        if _is_segmented(run):
            return _segmented(path, run)
    for run in (path, path / "outs", path.parent, path.parent.parent):
        if libraries := _libraries(run):
            return InputError(
                f"{path.name} belongs to several slides that `spaceranger aggr` has joined",
                got=", ".join(libraries),
                expected="the run of one slide",
                fix="Open the outs folder that `spaceranger count` wrote for each slide",
            )
    if path.name != "spatial" and is_spatial(path):
        return InputError(
            f"{path.name} holds the files of a spatial folder under another name",
            expected="the folder spatial, beside the counts",
            fix="Rename it to spatial, and open the folder that it lies in",
        )
    return None


def _is_segmented(folder: Path) -> bool:
    return folder.is_dir() and (
        folder.name == _CELLS or any((folder / name).is_file() for name in _OF_CELLS)
    )


def _segmented(path: Path, cells: Path) -> InputError:
    bins = cells.parent / _BINS
    sizes = [p.name for p in listed(bins) if p.is_dir()] if bins.is_dir() else []
    return InputError(
        f"{path.name} holds segmented cells, as Space Ranger 4 finds them in Visium HD",
        got="cells as polygons, and no spots",
        expected="a grid of spots or bins",
        fix=f"Open {_BINS}/{sizes[-1]} of the same run"
        if sizes
        else f"Open a folder in {_BINS} of the same run, such as square_008um or square_016um",
    )


def _libraries(run: Path) -> list[str]:
    """Names of the slides in an aggregated run: each has a folder of its own in ``spatial``.

    One alone is rather a sample that somebody has put there.
    """
    spatial = run / "spatial"
    if not spatial.is_dir():
        return []
    found = [p.name for p in listed(spatial) if p.is_dir() and is_spatial(p)]
    return found if len(found) > 1 or (run / "aggregation.csv").is_file() else []
