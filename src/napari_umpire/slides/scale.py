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
    "AXES_TOLERANCE",
    "PLAUSIBLE_MPP",
    "SOURCE_REASONS",
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
    "px_of_sides",
    "resolve_scale",
    "square_pitch_px",
    "square_px",
]

ScaleSource = Literal[
    "user",
    "spot pitch",
    "scale factors",
    "geometry",
    "metadata",
    "description",
    "resolution tag",
    "record",
    "spot diameter",
]

PLAUSIBLE_MPP = (0.05, 50.0)
"""Um per full-resolution px outside of which a value is a mistake, not a microscope."""

VISIUM_PITCH_UM, VISIUM_SPOT_UM = 100.0, 55.0
"""Distance and diameter of the printed spots of Visium."""

VISIUM_NOMINAL_DIAMETER_UM = 65.0
"""What Space Ranger's ``spot_diameter_fullres`` stands for: a theoretical spot, wider than the
printed one."""

TOLERANCE = 0.05
"""Sources further apart than this are reported."""

AXES_TOLERANCE = 0.01
"""Pixels whose two sides differ by more are not square."""

# In the order in which they are believed, each with its words and what speaks for it.
_SOURCES: Mapping[ScaleSource, tuple[str, str]] = {
    "user": ("you", "which wins over every other"),
    "spot pitch": ("the spot pitch", "which is measured on this image itself"),
    "scale factors": ("the scale factors", "which belong to these spots"),
    "geometry": (
        "the file's description and the image size in it",
        "which account for the current size of the image",
    ),
    "metadata": ("the file's metadata", "which state it for this image"),
    "description": ("the file's description", "which states it deliberately"),
    "resolution tag": ("the file's resolution tag", "because nothing more reliable states it"),
    "record": ("the record in the store", "because nothing more reliable states it"),
    "spot diameter": ("the spot diameter", "because nothing more reliable states it"),
}

SOURCE_WORDS: Mapping[str | None, str] = {key: words for key, (words, _) in _SOURCES.items()}

SOURCE_REASONS: Mapping[str | None, str] = {key: why for key, (_, why) in _SOURCES.items()}
"""What speaks for each source, as a relative clause."""

_OURS = ("user", "spot pitch")
"""Sources whose impossible value is an error. What a file states may be a default that a program
wrote, and is ignored with a warning."""


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
    candidates: Mapping[ScaleSource, float] = field(default_factory=dict)

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


def resolve_scale(
    candidates: Mapping[ScaleSource, float], user: float | None = None, *, name: str = "This slide"
) -> PhysicalScale:
    """Choose among the sources of a scale; warn where they are more than 5 % apart.

    Parameters
    ----------
    candidates
        Source -> um per full-resolution px.
    user
        What the user said, um per full-resolution px; wins over every other source.
    name
        The slide's name, for the warning.

    Raises
    ------
    InputError
        Where the user's value or the spot pitch is not a plausible scale of a microscope image;
        what a file states is then ignored with a warning.
    """
    found = {k: float(v) for k, v in candidates.items()}
    if user is not None:
        found["user"] = float(user)
    if unknown := set(found) - set(_SOURCES):
        raise ValueError(f"unknown sources of scale {sorted(unknown)}")
    low, high = PLAUSIBLE_MPP
    for source, value in list(found.items()):
        if math.isfinite(value) and low <= value <= high:
            continue
        if source not in _OURS:
            warnings.warn(
                f"{name}: {SOURCE_WORDS[source]} says {value:g} um per px, which is ignored",
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
    chosen = next((s for s in _SOURCES if s in found), None)
    if chosen is None:
        return PhysicalScale()
    found = {s: found[s] for s in _SOURCES if s in found}
    if max(found.values()) > min(found.values()) * (1 + TOLERANCE):
        told = ", ".join(f"{SOURCE_WORDS[s]} {v:.4g}" for s, v in found.items())
        warnings.warn(
            f"{name}: sources of the physical scale disagree (um per px: {told}); "
            f"using {SOURCE_WORDS[chosen]}, {_SOURCES[chosen][1]}",
            UmpireWarning,
            stacklevel=2,
        )
    return PhysicalScale(found[chosen], chosen, found)


def square_px(x_um: float, y_um: float, *, what: str, name: str) -> float | None:
    """Um per px from a statement about both axes; None, with a warning, where they differ.

    Parameters
    ----------
    x_um, y_um
        Um per px along x and y.
    what
        Who states it, such as "the OME metadata".
    name
        The file's name, for the warning.

    Returns
    -------
    float | None
        Their mean where they agree within 1 %: a model needs square pixels.
    """
    mpp, problem = px_of_sides(x_um, y_um, what)
    if problem is not None:
        warnings.warn(f"{name}: {problem}", UmpireWarning, stacklevel=2)
    return mpp


def px_of_sides(x_um: float, y_um: float, what: str) -> tuple[float | None, str | None]:
    """As `square_px`, with the words in place of a warning."""
    if not (math.isfinite(x_um) and math.isfinite(y_um) and min(x_um, y_um) > 0):
        return None, None
    low, high = sorted((x_um, y_um))
    if high <= low * (1 + AXES_TOLERANCE):
        return (x_um + y_um) / 2, None
    return None, (
        f"{what} gives pixels that are not square ({x_um:.4g} um wide, {y_um:.4g} um high), and is "
        "ignored. Give the true um per px if you know it"
    )


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
