"""What a model wants to see of a spot, and from which level of a slide it is read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.errors import InputError
from napari_umpire.slides.background import BALANCE_RULES

if TYPE_CHECKING:
    from napari_umpire.slides.slide import Slide

__all__ = ["PatchPlan", "PatchSpec", "patch_digest", "plan_patches"]

# A model's field may be larger than a small piece of tissue, but not by far.
_MOST_EXTENTS = 2
# 200 MB of pixels, and as much again while they are reduced.
_MOST_WINDOW_PX = 8192

# A window within 0.2 % of the patch size is copied, not resampled: at 112 um that is 0.2 um, less
# than half a pixel of a 20x scan, while resampling would blur every patch.
_SAME = 2e-3
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
