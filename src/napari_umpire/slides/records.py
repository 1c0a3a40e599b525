"""What our stores remember of a slide beside its elements, in ``attrs["napari_umpire"]``."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from napari_umpire.errors import InputError
from napari_umpire.slides.scale import PhysicalScale, ScaleSource, resolve_scale

if TYPE_CHECKING:
    from napari_umpire.slides.slide import Slide

__all__ = ["ATTRS_KEY", "SlideRecord"]

ATTRS_KEY = "napari_umpire"


@dataclass(frozen=True)
class SlideRecord:
    """The facts of a slide that SpatialData has no place for.

    ``mpp`` um per full-resolution px with ``mpp_source`` and all ``mpp_candidates``; ``downsample``
    full-resolution px per px of the stored image's finest scale; ``complete`` whether every piece
    of the image was written, black ones too, so that one that is missing was lost.
    """

    name: str
    platform: Literal["visium", "st", "image"]
    pitch_um: float
    spot_diameter_um: float
    image: str
    table: str | None = None
    mpp: float | None = None
    mpp_source: str | None = None
    mpp_candidates: dict[ScaleSource, float] = field(default_factory=dict)
    downsample: float = 1.0
    complete: bool = False

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
            complete=True,
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
            record = cls(**{k: v for k, v in slides[region].items() if k in known})
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
        for name in ("name", "image"):
            if not isinstance(getattr(self, name), str):
                raise TypeError(f"{name} is {getattr(self, name)!r}")
        if self.platform not in ("visium", "st", "image"):
            raise ValueError(f"platform is {self.platform!r}")
        lengths: dict[str, Any] = {
            "pitch_um": self.pitch_um,
            "spot_diameter_um": self.spot_diameter_um,
            "downsample": self.downsample,
            **{f"mpp of {k}": v for k, v in self.mpp_candidates.items()},
        }
        if self.mpp is not None or self.mpp_source is not None:
            if self.mpp_source not in get_args(ScaleSource):
                raise ValueError(f"mpp_source is {self.mpp_source!r}")
            lengths["mpp"] = self.mpp
        for key, value in lengths.items():
            # Pitch and diameter of a slide without scale are NaN.
            if not isinstance(value, (int, float)) or value <= 0:
                raise ValueError(f"{key} is {value!r}")

    def to_attrs(self, region: str) -> dict[str, Any]:
        """As the value of `ATTRS_KEY`, for a store of one slide."""
        return {"slides": {region: asdict(self)}}

    def scale(self, user: float | None) -> PhysicalScale:
        """The recorded scale, or the user's with the recorded sources beside it."""
        if user is None:
            return PhysicalScale(self.mpp, cast("Any", self.mpp_source), self.mpp_candidates)
        others = {k: v for k, v in self.mpp_candidates.items() if k != "user"}
        return resolve_scale(others, user, name=self.name)
