"""Patches: the square image around each spot, of a stated field in um, at the model's size in px.

A field of f full-resolution px around a centre c is the window [c - f/2, c + f/2). It is read from
the coarsest level that is still as fine as the model's pixels, and reduced to them with an
antialiasing filter. Outside of the image lies white, as glass is. A model may ask for patches in
which the slide's own background has been made white.
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from napari_umpire.errors import InputError
from napari_umpire.slides.background import BALANCE_RULES, background, balance_table, balanced
from napari_umpire.slides.tile_order import WindowReader, tile_order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_umpire.slides.slide import Slide

__all__ = ["PatchBatch", "PatchPlan", "PatchSpec", "iter_patches", "patch_digest", "plan_patches"]

CACHE_BYTES = 512 * 2**20
"""Room for decoded tiles; a slide of 100,000 px across with tiles of 256 needs 150 MiB."""

# A model's field may be larger than a small piece of tissue, but not by far.
_MOST_EXTENTS = 2
# 200 MB of pixels, and as much again while they are reduced.
_MOST_WINDOW_PX = 8192

# A window within 0.2 % of the patch size is copied, not resampled: at 112 um that is 0.2 um, less
# than half a pixel of a 20x scan, while resampling would blur every patch.
_SAME = 2e-3
_FILTER = Image.Resampling.BICUBIC
_SUPPORT_PX = 2.0
_REDUCING_GAP = 3.0
# Part of the digest: raise it when the same spec gives other pixels.
_RULES = "2 bicubic gap3 white"


@dataclass(frozen=True)
class PatchSpec:
    """What a model wants to see of a spot.

    Attributes
    ----------
    field_um
        Edge of the square field, um.
    size_px
        Edge of the patch, px.
    max_upsampling
        How many times finer than the image's own finest pixels the patch's pixels may be; beyond
        it a slide is refused, because what the model looks for cannot be in it.
    white_balance
        Make the slide's background white, channel by channel: see `background`.
    """

    field_um: float = 112.0
    size_px: int = 224
    max_upsampling: float = 2.0
    white_balance: bool = False

    def __post_init__(self) -> None:
        if not (np.isfinite(self.field_um) and self.field_um > 0 and self.size_px > 0):
            raise InputError(
                "A patch needs a positive field and size",
                got=f"{self.field_um} um, {self.size_px} px",
            )
        if not self.max_upsampling >= 1:
            raise InputError("max_upsampling must be at least 1", got=self.max_upsampling)

    @property
    def mpp(self) -> float:
        """Um per patch px."""
        return self.field_um / self.size_px


@dataclass(frozen=True)
class PatchPlan:
    """How the patches of one slide are read.

    Attributes
    ----------
    spec
        What is wanted.
    level
        Index of the level that is read.
    downsample
        Full-resolution px per px of that level.
    window_px
        Edge of the field in px of that level, not rounded.
    """

    spec: PatchSpec
    level: int
    downsample: float
    window_px: float

    @property
    def is_copy(self) -> bool:
        """Whether the level's own pixels are the patch's, so that none is resampled."""
        return abs(self.window_px - self.spec.size_px) <= _SAME * self.spec.size_px


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


def patch_digest(spec: PatchSpec) -> str:
    """Return a short digest of the spec and of the rules by which patches are made of a slide."""
    text = f"{_RULES} {spec.field_um!r} {spec.size_px} {spec.max_upsampling!r}"
    if spec.white_balance:
        text += f" {BALANCE_RULES}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def plan_patches(slide: Slide, spec: PatchSpec) -> PatchPlan:
    """Choose the level to read, or refuse.

    Raises
    ------
    InputError
        Where the slide's physical scale is not known, its finest level is more than
        ``spec.max_upsampling`` times coarser than the patch, or the field is larger than the
        slide by far, or than can be read at once.
    """
    field_px = spec.field_um / slide.mpp
    target = field_px / spec.size_px
    pyramid = slide.pyramid
    level = pyramid.level_for(target * (1 + _SAME))
    downsample = pyramid.levels[level].downsample
    if downsample > target * spec.max_upsampling * (1 + _SAME):
        raise InputError(
            f"The image of {slide.name} is too coarse for this model",
            got=f"{downsample * slide.mpp:.3g} um per px at the finest level",
            expected=(
                f"fields of {spec.field_um:g} um at {spec.size_px} px, that is {spec.mpp:.3g} um "
                f"per px, from an image of at most {spec.mpp * spec.max_upsampling:.3g} um per px"
            ),
            fix="Give the full-resolution image, or choose a model made for coarser images",
        )
    plan = PatchPlan(spec, level, downsample, field_px / downsample)
    _check_field(slide, plan)
    return plan


def _check_field(slide: Slide, plan: PatchPlan) -> None:
    """Refuse a field of glass alone, and one whose pixels would fill the memory."""
    field = f"{plan.spec.field_um:,.0f} um"
    most = _MOST_EXTENTS * max(slide.pyramid.extent) * slide.mpp
    if plan.spec.field_um > most:
        raise InputError(
            f"The field of a patch is far larger than the image of {slide.name}",
            got=field,
            expected=f"at most {most:,.0f} um, twice the longer side of the image",
            fix="Give a smaller field",
        )
    if plan.window_px > _MOST_WINDOW_PX:
        raise InputError(
            f"A field of {slide.name} is too large to be read at once",
            got=f"{field}, which are {plan.window_px:,.0f} px of the level that is read",
            expected=f"at most {_MOST_WINDOW_PX * plan.downsample * slide.mpp:,.0f} um",
            fix="Give a smaller field, or an image with coarser levels besides",
        )


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
