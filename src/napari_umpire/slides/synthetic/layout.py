"""Where the tissue is and what it is made of: the plan that image and counts are drawn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CELL_UM", "REGIONS", "Layout", "make_layout"]

CELL_UM = 8.0
"""Edge of a cell of the plan, um."""

REGIONS = ("tumour", "immune", "stroma", "fat", "necrosis")

# Share of the tissue that each region tends to, before the seed has its say.
_BIAS = np.array([0.55, -0.25, 0.45, -0.1, -0.35])
_BLOB_UM = 260.0
_SHARPNESS = 9.0


@dataclass(frozen=True)
class Layout:
    """The plan of one section on a grid of `CELL_UM` cells.

    Attributes
    ----------
    tissue
        (rows, cols) float32 in [0, 1]: 1 on tissue, 0 on glass, soft over one or two cells.
    weights
        (rows, cols, 5) float32: share of each of `REGIONS`; rows sum to 1, also off the tissue.
    gradient
        (rows, cols) float32 in [0, 1]: a slow change over the section (differentiation of the
        tumour); it moves both the look of the nuclei and the expression.
    fibre
        (rows, cols) float32: the coordinate across the stroma's fibres, um.
    """

    tissue: np.ndarray
    weights: np.ndarray
    gradient: np.ndarray
    fibre: np.ndarray


def make_layout(
    height_um: float,
    width_um: float,
    rng: np.random.Generator,
    more: Mapping[str, float] | None = None,
) -> Layout:
    """Draw an asymmetric outline with a hole, smooth regions and a slow gradient.

    Parameters
    ----------
    height_um, width_um
        Size of the slide area, um.
    rng
        Source of everything random here.
    more
        Regions that there shall be more of than usual, or less where negative; 1 is much.
    """
    extra = np.array([(more or {}).get(region, 0.0) for region in REGIONS])
    shape = (int(np.ceil(height_um / CELL_UM)), int(np.ceil(width_um / CELL_UM)))
    noise = np.stack(
        [_smooth(rng, shape, _BLOB_UM) + 0.12 * _smooth(rng, shape, 50.0) for _ in REGIONS], axis=-1
    )
    logits = _SHARPNESS * (noise + _BIAS + extra + rng.normal(0, 0.12, len(REGIONS)))
    logits -= logits.max(axis=-1, keepdims=True)
    weights = np.exp(logits)
    weights /= weights.sum(axis=-1, keepdims=True)
    slow = _smooth(rng, shape, 700.0)
    rows, _ = np.mgrid[: shape[0], : shape[1]].astype(np.float32) * np.float32(CELL_UM)
    tilt = rng.uniform(-0.7, 0.7)
    _, across = np.mgrid[: shape[0], : shape[1]].astype(np.float32) * np.float32(CELL_UM)
    fibre = rows + tilt * across + 220.0 * _smooth(rng, shape, 500.0)
    return Layout(
        tissue=_outline(shape, rng),
        weights=weights.astype(np.float32),
        gradient=(1 / (1 + np.exp(-1.7 * slow))).astype(np.float32),
        fibre=fibre.astype(np.float32),
    )


def _smooth(rng: np.random.Generator, shape: tuple[int, int], length_um: float) -> np.ndarray:
    """Return a Gaussian random field of sd 1 and mean 0 that changes over ``length_um``."""
    field = ndimage.gaussian_filter(rng.standard_normal(shape), length_um / CELL_UM / 2.0)
    return (field - field.mean()) / field.std()


def _outline(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Return the soft tissue mask: a lobed blob off the centre, rough edges, one hole."""
    rows, cols = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    centre = np.array(shape) * (0.5 + rng.uniform(-0.03, 0.03, 2))
    y = (rows - centre[0]) / (0.5 * shape[0])
    x = (cols - centre[1]) / (0.5 * shape[1])
    angle, radius = np.arctan2(y, x), np.hypot(y, x)
    reach = np.full(shape, 0.86)
    for k in range(1, 6):
        reach += rng.uniform(0.4, 1.0) * 0.09 / np.sqrt(k) * np.cos(k * angle + rng.uniform(0, 6.3))
    reach += 0.02 * _smooth(rng, shape, 120.0) + 0.008 * _smooth(rng, shape, 40.0)
    # Tissue ends before the slide area does, so that the outline is its own on every side.
    edge = 0.97 * radius / np.maximum(np.maximum(abs(y), abs(x)), 1e-9)
    inside = np.minimum(reach, edge)
    depth_um = (inside - radius) * 0.5 * min(shape) * CELL_UM
    direction = rng.uniform(0, 2 * np.pi)
    hole = centre + 0.2 * np.array(shape) * np.array([np.sin(direction), np.cos(direction)])
    to_hole_um = np.hypot(rows - hole[0], 1.5 * (cols - hole[1])) * CELL_UM
    hole_um = rng.uniform(200, 300) + 30.0 * _smooth(rng, shape, 150.0)
    depth_um = np.minimum(depth_um, to_hole_um - hole_um)
    return (1 / (1 + np.exp(-depth_um / 2.5).clip(0, 1e6))).astype(np.float32)
