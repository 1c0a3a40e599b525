"""What our stores remember of a slide beside its elements, in ``attrs["napari_umpire"]``."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, cast

from napari_umpire.slides.scale import PhysicalScale, resolve_scale

if TYPE_CHECKING:
    from napari_umpire.slides.slide import Slide

__all__ = ["ATTRS_KEY", "SlideRecord"]

ATTRS_KEY = "napari_umpire"


@dataclass(frozen=True)
class SlideRecord:
    """The facts of a slide that SpatialData has no place for.

    ``mpp`` um per full-resolution px with ``mpp_source`` and all ``mpp_candidates``; ``downsample``
    full-resolution px per px of the stored image's finest scale.
    """

    name: str
    platform: Literal["visium", "st", "image"]
    pitch_um: float
    spot_diameter_um: float
    image: str
    table: str | None = None
    mpp: float | None = None
    mpp_source: str | None = None
    mpp_candidates: dict[str, float] = field(default_factory=dict)
    downsample: float = 1.0

    @classmethod
    def of(cls, slide: Slide, *, image: str, table: str | None) -> SlideRecord:
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
        )

    @classmethod
    def find(cls, attrs: dict[str, Any], region: str) -> SlideRecord | None:
        """The record of ``region`` in a store's attrs, None where there is none."""
        slides = attrs.get(ATTRS_KEY, {}).get("slides", {})
        if region not in slides:
            return None
        known = {f.name for f in fields(cls)}
        return cls(**{k: v for k, v in slides[region].items() if k in known})

    def to_attrs(self, region: str) -> dict[str, Any]:
        """As the value of `ATTRS_KEY`, for a store of one slide."""
        return {"slides": {region: asdict(self)}}

    def scale(self, user: float | None) -> PhysicalScale:
        """The recorded scale, or the user's with the recorded sources beside it."""
        if user is None:
            return PhysicalScale(self.mpp, cast("Any", self.mpp_source), self.mpp_candidates)
        others = {k: v for k, v in self.mpp_candidates.items() if k != "user"}
        return resolve_scale(others, user, name=self.name)
