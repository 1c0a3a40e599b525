"""What our stores remember of a slide beside its elements, in ``attrs["napari_umpire"]``.

Other programs carry these attributes along when they crop, rescale or join what is in a store. So a
record is bound to the image and the circles that it was written with, by their digests.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from napari_umpire.errors import InputError
from napari_umpire.slides.scale import PLAUSIBLE_MPP, ScaleSource

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geopandas import GeoDataFrame

    from napari_umpire.slides.pyramid import Level
    from napari_umpire.slides.slide import Slide

__all__ = ["ATTRS_KEY", "SlideRecord", "circles_digest", "image_digest"]

ATTRS_KEY = "napari_umpire"

# Real copies are 1 to 100 times coarser than the scan; beyond these a record is damaged.
_DOWNSAMPLES = (1e-2, 1e4)
_LENGTHS = ("pitch_um", "spot_diameter_um")


@dataclass(frozen=True)
class SlideRecord:
    """The facts of a slide that SpatialData has no place for.

    ``mpp`` um per full-resolution px with ``mpp_source`` and all ``mpp_candidates``; ``downsample``
    full-resolution px per px of the stored image's finest scale; ``image_digest`` and
    ``circles_digest`` what the elements were, None in stores of before these were kept.
    """

    name: str
    platform: Literal["visium", "st", "image"]
    pitch_um: float
    spot_diameter_um: float
    image: str
    table: str | None = None
    mpp: float | None = None
    mpp_source: ScaleSource | None = None
    mpp_candidates: dict[ScaleSource, float] = field(default_factory=dict)
    downsample: float = 1.0
    image_digest: str | None = None
    circles_digest: str | None = None

    @property
    def is_bound(self) -> bool:
        """Whether it says which image and circles it is about."""
        return self.image_digest is not None and self.circles_digest is not None

    @classmethod
    def of(
        cls,
        slide: Slide,
        *,
        image: str,
        table: str | None,
        image_digest: str | None,
        circles_digest: str | None,
    ) -> SlideRecord:
        """The record of ``slide``, whose image and table are stored under these names."""
        return cls(
            name=slide.name,
            platform=slide.platform,
            pitch_um=float(slide.pitch_um),
            spot_diameter_um=float(slide.spot_diameter_um),
            image=image,
            table=table,
            mpp=slide.scale.mpp,
            mpp_source=slide.scale.source,
            mpp_candidates=dict(slide.scale.candidates),
            downsample=slide.pyramid.levels[0].downsample,
            image_digest=image_digest,
            circles_digest=circles_digest,
        )

    @classmethod
    def find(
        cls, attrs: dict[str, Any], region: str, store: str = "the store"
    ) -> SlideRecord | None:
        """The record of ``region`` in a store's attrs, None where there is none.

        Raises
        ------
        InputError
            Where it is not what `to_attrs` writes; names ``store``.
        """
        known = {f.name for f in fields(cls)}
        try:
            slides = attrs.get(ATTRS_KEY, {}).get("slides", {})
            if region not in slides:
                return None
            values = {k: v for k, v in slides[region].items() if k in known}
            # JSON has no word for NaN.
            values |= {k: math.nan for k in _LENGTHS if k in values and values[k] is None}
            record = cls(**values)
            record._check()
        except (AttributeError, TypeError, ValueError) as error:
            raise InputError(
                f"What {store} records of the slide {region!r} is damaged",
                got=error,
                expected="the scale and the geometry that umpire-train convert writes",
                fix="Convert the slide again",
            ) from error
        return record

    def _check(self) -> None:
        """Raise `ValueError` or `TypeError` for a value that no slide has."""
        for name in ("name", "image", "table", "image_digest", "circles_digest"):
            value = getattr(self, name)
            if not isinstance(value, str) and (value is not None or name in ("name", "image")):
                raise TypeError(f"{name} is {value!r}")
        if self.platform not in ("visium", "st", "image"):
            raise ValueError(f"platform is {self.platform!r}")
        for key in _LENGTHS:
            # Of a slide without scale they are NaN.
            value = getattr(self, key)
            if not _is_number(value) or not (math.isnan(value) or 0 < value < math.inf):
                raise ValueError(f"{key} is {value!r}")
        scales: dict[str, Any] = {f"mpp of {k}": v for k, v in self.mpp_candidates.items()}
        if self.mpp is not None or self.mpp_source is not None:
            if self.mpp_source not in get_args(ScaleSource):
                raise ValueError(f"mpp_source is {self.mpp_source!r}")
            scales["mpp"] = self.mpp
        if unknown := set(self.mpp_candidates) - set(get_args(ScaleSource)):
            raise ValueError(f"a source of the scale is {unknown.pop()!r}")
        ranges = dict.fromkeys(scales, PLAUSIBLE_MPP) | {"downsample": _DOWNSAMPLES}
        for key, value in (scales | {"downsample": self.downsample}).items():
            low, high = ranges[key]
            if not _is_number(value) or not low <= value <= high:
                raise ValueError(f"{key} is {value!r}")

    def to_attrs(self, region: str) -> dict[str, Any]:
        """As the value of `ATTRS_KEY`, for a store of one slide."""
        values = asdict(self)
        values |= {k: None for k in _LENGTHS if math.isnan(values[k])}
        return {"slides": {region: values}}


def image_digest(levels: Sequence[Level]) -> str:
    """Digest of the finest level's size and the coarsest level's pixels; levels finest first."""
    last = levels[-1]
    digest = hashlib.sha256(repr((levels[0].shape, last.shape)).encode())
    digest.update(last.read(0, 0, *last.shape).tobytes())
    return digest.hexdigest()[:16]


def circles_digest(circles: GeoDataFrame) -> str:
    """Digest of ids, centres and radius, in the circles' own coordinates."""
    digest = hashlib.sha256("\n".join(map(str, circles.index)).encode())
    for values in (circles.geometry.x, circles.geometry.y, circles["radius"]):
        digest.update(np.ascontiguousarray(values, np.float64).tobytes())
    return digest.hexdigest()[:16]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
