"""Physical scale: how many um one full-resolution pixel covers, and how that is known.

The scale is never guessed silently. Every source that can tell it is a *candidate*; the slide keeps
all of them, uses one, says which, and a warning shows all where they disagree.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from napari_umpire.errors import InputError, UmpireWarning

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "PLAUSIBLE_MPP",
    "SOURCE_WORDS",
    "TOLERANCE",
    "VISIUM_NOMINAL_DIAMETER_UM",
    "VISIUM_PITCH_UM",
    "VISIUM_SPOT_UM",
    "PhysicalScale",
    "ScaleSource",
    "hex_pitch_px",
    "is_hexagonal",
    "nearest_pitch_px",
    "resolve_scale",
    "square_pitch_px",
]

ScaleSource = Literal["file", "spot pitch", "spot diameter", "user"]

PLAUSIBLE_MPP = (0.05, 50.0)
"""Um per full-resolution px outside of which a value is a mistake, not a microscope."""

VISIUM_PITCH_UM, VISIUM_SPOT_UM = 100.0, 55.0
"""Distance and diameter of the printed spots of Visium."""

VISIUM_NOMINAL_DIAMETER_UM = 65.0
"""What Space Ranger's ``spot_diameter_fullres`` stands for: a theoretical spot, wider than the
printed one."""

TOLERANCE = 0.05
"""Sources further apart than this are reported."""

# The user's word first. Then the array, whose pitch was printed by a machine and is measured in
# the very pixels that the spots live in; a file's metadata may survive a rescaling of its image.
_ORDER: tuple[ScaleSource, ...] = ("user", "spot pitch", "file", "spot diameter")


@dataclass(frozen=True)
class PhysicalScale:
    """Um per full-resolution px, and where that came from.

    Attributes
    ----------
    mpp
        Um per full-resolution px; None where nothing tells it.
    source
        The candidate that `mpp` is; None where `mpp` is None.
    candidates
        Every source that told a scale, with its um per px.
    """

    mpp: float | None = None
    source: ScaleSource | None = None
    candidates: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.mpp is None) != (self.source is None):
            raise ValueError(f"mpp {self.mpp} with source {self.source}: give both or neither")
        object.__setattr__(self, "candidates", MappingProxyType(dict(self.candidates)))

    def __reduce__(self) -> tuple[type[PhysicalScale], tuple[object, ...]]:
        return (PhysicalScale, (self.mpp, self.source, dict(self.candidates)))

    def require(self, name: str) -> float:
        """Return `mpp`.

        Parameters
        ----------
        name
            The slide's name, for the message.

        Raises
        ------
        InputError
            Where nothing told the scale.
        """
        if self.mpp is None:
            raise InputError(
                f"The physical scale of {name} is not known",
                expected="um per pixel in the file, a spot array of known pitch, or your word",
                fix="Give it, for example mpp=0.5 (--mpp 0.5 in a shell) for a 20x scan",
            )
        return self.mpp

    def describe(self) -> str:
        """One line for people: the value, its source, and the other candidates."""
        if self.mpp is None:
            return "um per px unknown"
        others = [f"{k} {v:.4g}" for k, v in self.candidates.items() if k != self.source]
        tail = f" ({', '.join(others)} um per px)" if others else ""
        return f"{self.mpp:.4g} um per px from {SOURCE_WORDS[self.source]}{tail}"


SOURCE_WORDS: Mapping[str | None, str] = {
    "file": "the file",
    "spot pitch": "the spot pitch",
    "spot diameter": "the spot diameter",
    "user": "you",
}


def resolve_scale(
    candidates: Mapping[str, float], user: float | None = None, *, name: str = "This slide"
) -> PhysicalScale:
    """Choose among the sources of a scale; warn where they are more than 5 % apart.

    Parameters
    ----------
    candidates
        Source ("file", "spot pitch", "spot diameter") -> um per full-resolution px.
    user
        What the user said, um per full-resolution px; wins over every other source.
    name
        The slide's name, for the warning.

    Raises
    ------
    InputError
        Where a value is not a plausible scale of a microscope image; only what a file states is
        then left aside with a warning.
    """
    found = {k: float(v) for k, v in candidates.items()}
    if user is not None:
        found["user"] = float(user)
    if unknown := set(found) - set(_ORDER):
        raise ValueError(f"unknown sources of scale {sorted(unknown)}")
    low, high = PLAUSIBLE_MPP
    for source, value in list(found.items()):
        if math.isfinite(value) and low <= value <= high:
            continue
        if source == "file":
            # Programs write defaults into metadata; that must not keep the slide from opening.
            warnings.warn(
                f"{name}: the file states {value:g} um per px, which is left aside",
                UmpireWarning,
                2,
            )
            del found[source]
            continue
        raise InputError(
            f"{name} has an impossible physical scale",
            got=f"{value:g} um per px from {SOURCE_WORDS[source]}",
            expected=f"between {low:g} and {high:g} um per px",
            fix="Give the true um per px with mpp=",
        )
    chosen = next((s for s in _ORDER if s in found), None)
    if chosen is None:
        return PhysicalScale()
    if max(found.values()) > min(found.values()) * (1 + TOLERANCE):
        told = ", ".join(f"{SOURCE_WORDS[s]} {found[s]:.4g}" for s in _ORDER if s in found)
        warnings.warn(
            f"{name}: sources of the physical scale disagree (um per px: {told}); "
            f"using {SOURCE_WORDS[chosen]}",
            UmpireWarning,
            stacklevel=2,
        )
    return PhysicalScale(found[chosen], chosen, found)


def hex_pitch_px(spots: pd.DataFrame) -> float | None:
    """Centre-to-centre distance of a hexagonal array, px, from array coordinates.

    Parameters
    ----------
    spots
        Columns ``y``, ``x`` (px), ``array_row``, ``array_col``; neighbours are two columns apart
        in a row, or one row and one column apart (10x Visium). Spots outside the tissue count too.

    Returns
    -------
    float | None
        Median over neighbouring pairs; with fewer than 3 pairs the pitch of the affine lattice
        fitted to all spots; None where the spots cannot tell.
    """
    steps = ((0, 2), (1, 1), (1, -1))
    # One spot per two (row, column) cells; a hexagonal cell of pitch p has area p^2 sqrt(3) / 2.
    return _array_pitch(spots, steps, area_factor=4 / math.sqrt(3))


def square_pitch_px(spots: pd.DataFrame) -> float | None:
    """Centre-to-centre distance of a square array, px; as `hex_pitch_px` with unit steps."""
    return _array_pitch(spots, ((0, 1), (1, 0)), area_factor=1.0)


def nearest_pitch_px(yx: np.ndarray) -> float | None:
    """Median distance to the nearest other spot, px, for spots without array coordinates.

    Parameters
    ----------
    yx
        (n_spots, 2) centres, px.
    """
    from scipy.spatial import cKDTree

    if len(yx) < 3:
        return None
    distance, _ = cKDTree(yx).query(yx, k=2)
    pitch = float(np.median(distance[:, 1]))
    return pitch if pitch > 0 else None


def is_hexagonal(yx: np.ndarray) -> bool:
    """Whether most spots have six neighbours at one distance, as on a hexagonal array.

    Parameters
    ----------
    yx
        (n_spots, 2) centres, px. On a square array the fifth neighbour is 1.41 times as far as the
        first.
    """
    from scipy.spatial import cKDTree

    if len(yx) < 7:
        return False
    distance, _ = cKDTree(yx).query(yx, k=7)
    pitch = np.median(distance[:, 1])
    return bool(pitch > 0 and np.median(distance[:, 6]) < 1.15 * pitch)


def _array_pitch(
    spots: pd.DataFrame, steps: tuple[tuple[int, int], ...], area_factor: float
) -> float | None:
    rc = spots[["array_row", "array_col"]].to_numpy(np.int64)
    yx = spots[["y", "x"]].to_numpy(np.float64)
    at = pd.MultiIndex.from_arrays([rc[:, 0], rc[:, 1]])
    if not at.is_unique:
        return None
    distances = []
    for row_step, col_step in steps:
        moved = pd.MultiIndex.from_arrays([rc[:, 0] + row_step, rc[:, 1] + col_step])
        there = at.get_indexer(moved)
        has = there >= 0
        distances.append(np.linalg.norm(yx[there[has]] - yx[has], axis=1))
    pairs = np.concatenate(distances)
    if len(pairs) >= 3:
        return float(np.median(pairs))
    if len(spots) < 6:
        return None
    design = np.column_stack([rc, np.ones(len(rc))])
    affine, _, rank, _ = np.linalg.lstsq(design, yx, rcond=None)
    if rank < 3:
        return None
    return float(math.sqrt(area_factor * abs(np.linalg.det(affine[:2]))))
