"""Patches: the square image around each spot, of a stated field in um, at the model's size in px.

A field of f full-resolution px around a centre c is the window [c - f/2, c + f/2). It is read from
the coarsest level that is still as fine as the model's pixels, and reduced to them with an
antialiasing filter. Outside of the image lies white, as glass is. A model may ask for patches in
which the slide's own background has been made white.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from napari_umpire.errors import InputError
from napari_umpire.slides.background import background, balance_table, balanced
from napari_umpire.slides.patch_plan import PatchPlan, PatchSpec, patch_digest, plan_patches
from napari_umpire.slides.tile_order import WindowReader, tile_order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_umpire.slides.slide import Slide

__all__ = ["PatchBatch", "PatchPlan", "PatchSpec", "iter_patches", "patch_digest", "plan_patches"]

CACHE_BYTES = 512 * 2**20
"""Room for decoded tiles; a slide of 100,000 px across with tiles of 256 needs 150 MiB."""

_FILTER = Image.Resampling.BICUBIC
_SUPPORT_PX = 2.0
_REDUCING_GAP = 3.0


@dataclass(frozen=True, eq=False)
class PatchBatch:
    """Some patches of a slide.

    Attributes
    ----------
    rows
        (b,) int64, rows of `Slide.spots`.
    pixels
        (b, size_px, size_px, 3) uint8, RGB.
    """

    rows: np.ndarray
    pixels: np.ndarray


def iter_patches(
    slide: Slide,
    spec: PatchSpec,
    *,
    spots: np.ndarray | None = None,
    batch_size: int = 64,
    cache_bytes: int = CACHE_BYTES,
) -> Iterator[PatchBatch]:
    """Read the patches of a slide, in an order that decodes each tile of the image once.

    Parameters
    ----------
    slide
        The slide; its scale must be known.
    spec
        Field and size of the patches.
    spots
        Rows of `Slide.spots` to read, (n,) int, each once; all where not given.
    batch_size
        Patches per batch; the last may be smaller.
    cache_bytes
        Room for decoded tiles.

    Returns
    -------
    Iterator[PatchBatch]
        Batches in tile order, not in the order of ``spots``: `PatchBatch.rows` tells which.

    Raises
    ------
    InputError
        At once, as `plan_patches`, or where no spot lies on the image.
    """
    plan = plan_patches(slide, spec)
    rows = np.arange(slide.n_spots) if spots is None else np.asarray(spots)
    if rows.dtype == bool or rows.ndim != 1 or len(np.unique(rows)) != len(rows):
        raise ValueError("spots must be row numbers, each once")
    rows = rows.astype(np.int64)
    centres = slide.yx[rows]
    # Of all spots, not of those asked for: a few may lie beside an image that is the right one.
    if len(rows) and not _any_inside(slide):
        height, width = slide.pyramid.extent
        (y0, x0), (y1, x1) = slide.yx.min(axis=0), slide.yx.max(axis=0)
        raise InputError(
            f"No spot of {slide.name} lies on its image",
            got=f"spots at y {y0:.0f} to {y1:.0f} and x {x0:.0f} to {x1:.0f} px",
            expected=f"within the image of {height:.0f} x {width:.0f} full-resolution px",
            fix="Give the image that the spots were measured on",
        )
    return _batches(slide, plan, rows, centres, batch_size, cache_bytes)


def _any_inside(slide: Slide) -> bool:
    inside = (slide.yx >= 0) & (slide.yx < np.array(slide.pyramid.extent))
    return bool(inside.all(axis=1).any())


def _batches(
    slide: Slide,
    plan: PatchPlan,
    rows: np.ndarray,
    centres: np.ndarray,
    batch_size: int,
    cache_bytes: int,
) -> Iterator[PatchBatch]:
    level = slide.pyramid.levels[plan.level]
    size = plan.spec.size_px
    start = centres / plan.downsample - plan.window_px / 2
    if plan.is_copy:
        # A window within 0.2 % of the size is centred, and laid on whole pixels.
        first = np.floor(start + (plan.window_px - size) / 2 + 0.5).astype(np.int64)
        last = first + size
    else:
        # Pixels beside the window that the filter of its outermost pixels reaches into.
        margin = int(np.ceil(_SUPPORT_PX * max(1.0, plan.window_px / size))) + 1
        first = np.floor(start).astype(np.int64) - margin
        last = np.ceil(start + plan.window_px).astype(np.int64) + margin
    order = tile_order(level, first, last, cache_bytes)
    rows, start, first, last = rows[order], start[order], first[order], last[order]
    reader = WindowReader(level, first, last, cache_bytes)
    table = None
    if plan.spec.white_balance and len(rows):
        table = balance_table(background(slide.pyramid), slide.name)
    for i in range(0, len(rows), batch_size):
        batch = rows[i : i + batch_size]
        pixels = np.empty((len(batch), size, size, 3), np.uint8)
        for j in range(len(batch)):
            if plan.is_copy:
                with _under(slide, batch[j]):
                    reader.read(i + j, out=pixels[j])
            else:
                with _under(slide, batch[j]):
                    window = reader.read(i + j)
                top, left = start[i + j] - first[i + j]
                pixels[j] = _resample(window, top, left, plan.window_px, size)
        yield PatchBatch(batch, pixels if table is None else balanced(pixels, table))


@contextmanager
def _under(slide: Slide, row: int) -> Iterator[None]:
    """Say which spot lies where the image cannot be read."""
    try:
        yield
    except InputError as error:
        raise InputError(
            f"The image under spot {slide.spots.index[row]} of {slide.name} cannot be read",
            got=f"{error.problem}: {error.got}" if error.got is not None else error.problem,
            expected=error.expected,
            fix=error.fix,
        ) from error


def _resample(window: np.ndarray, top: float, left: float, edge: float, size: int) -> np.ndarray:
    """Return the square [top, top + edge) x [left, left + edge) of ``window`` at ``size`` px."""
    box = (left, top, left + edge, top + edge)
    image = Image.fromarray(window)
    return np.asarray(image.resize((size, size), _FILTER, box, reducing_gap=_REDUCING_GAP))
