"""Which elements of a SpatialData store belong together: spots, their table, their image."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.slides.store_image import first_scale, is_rgb

if TYPE_CHECKING:
    from spatialdata import SpatialData

__all__ = ["View", "choose_table", "choose_view", "circle_elements", "spot_regions"]

_SAMPLE = 100_000
_AXES = ("x", "y")


def circle_elements(sdata: SpatialData) -> list[str]:
    """Names of the shapes elements that are circles."""
    return [
        name
        for name, shapes in sdata.shapes.items()
        if "radius" in shapes and (shapes.geom_type == "Point").all()
    ]


def spot_regions(sdata: SpatialData, store: str) -> list[str]:
    """The elements of circles that a table annotates, else all elements of circles."""
    circles = circle_elements(sdata)
    if not circles:
        raise InputError(
            f"{store} holds no spots",
            got="shapes " + (", ".join(sdata.shapes) or "none") + " without circles",
            expected="a shapes element of circles, one per spot",
        )
    annotated = {r for table in sdata.tables for r in _regions_of(sdata, table)}
    return [c for c in circles if c in annotated] or circles


def choose_table(sdata: SpatialData, region: str, recorded: str | None) -> str | None:
    """The table with the raw counts of a region, None where nothing was measured.

    Tables that hold results (``uns["umpire"]``) or other numbers than counts are passed over. Where
    ``X`` was transformed but ``layers["counts"]`` is raw, that layer takes its place in memory.
    """
    if recorded is not None and recorded in sdata.tables:
        if sdata.tables[recorded].X is None:
            raise InputError(
                f"Table {recorded!r} of {_store(sdata)} holds no counts",
                expected="the counts that the slide was stored with",
                fix="Convert the slide again",
            )
        return recorded
    mine = [
        name
        for name in sdata.tables
        if region in _regions_of(sdata, name) and "umpire" not in sdata.tables[name].uns
    ]
    raw = [name for name in mine if _is_raw(sdata.tables[name].X)]
    if not raw:
        raw = [name for name in mine if _is_raw(sdata.tables[name].layers.get("counts"))]
        for name in raw[:1]:
            sdata.tables[name].X = sdata.tables[name].layers["counts"].copy()
            warnings.warn(
                f"Table {name!r} is transformed; its layer 'counts' is used", UmpireWarning, 4
            )
    if mine and not raw:
        warnings.warn(
            f"No table of {region!r} holds raw counts ({', '.join(mine)}); "
            "the slide is opened as not measured",
            UmpireWarning,
            stacklevel=4,
        )
    if len(raw) > 1:
        first = "table" if "table" in raw else raw[0]
        warnings.warn(
            f"Several tables hold counts of {region!r} ({', '.join(raw)}); {first!r} is used",
            UmpireWarning,
            stacklevel=4,
        )
        return first
    return raw[0] if raw else None


def _regions_of(sdata: SpatialData, table: str) -> list[str]:
    region = sdata.tables[table].uns.get("spatialdata_attrs", {}).get("region", [])
    return [region] if isinstance(region, str) else list(region)


def _is_raw(counts: object) -> bool:
    if counts is None:
        return False
    values = np.asarray(getattr(counts, "data", counts)).ravel()[:_SAMPLE]
    if values.size == 0 or values.dtype.kind not in "iuf":
        return False
    return bool((values >= 0).all() and (values == np.rint(values)).all())


@dataclass(frozen=True)
class View:
    """An image element and how the spots' own coordinates become its pixels.

    Attributes
    ----------
    image
        Name of the element.
    matrix
        (3, 3) affine of (x, y, 1), from the shapes' coordinates to pixels of the finest scale.
    """

    image: str
    matrix: np.ndarray

    @property
    def magnification(self) -> float:
        """Pixels per unit of the shapes' coordinates."""
        return math.sqrt(abs(float(np.linalg.det(self.matrix[:2, :2]))))

    def to_pixels(self, xy: np.ndarray, downsample: float = 1.0) -> np.ndarray:
        """(n, 2) coordinates of the shapes -> (n, 2) x, y in px, times ``downsample``."""
        matrix = np.diag([downsample, downsample, 1.0]) @ self.matrix
        if np.allclose(matrix, np.eye(3), rtol=0, atol=1e-9):
            return xy.copy()
        return xy @ matrix[:2, :2].T + matrix[:2, 2]


def choose_view(
    sdata: SpatialData, region: str, xy: np.ndarray, wanted: str | None, name: str
) -> View:
    """The finest red-green-blue image under the spots of a region.

    Where several samples share one coordinate system, images whose name begins like the region's
    come first, then those that share a system which no other region has.

    Raises
    ------
    InputError
        Where no image is red-green-blue, shares a coordinate system, or lies under the spots.
    """
    rgb = [image for image in sdata.images if is_rgb(sdata.images[image])]
    if wanted is not None:
        if wanted not in rgb:
            raise InputError(
                f"{_store(sdata)} has no RGB image named {wanted!r}",
                got=", ".join(rgb) or _describe_images(sdata),
            )
        rgb = [wanted]
    if not rgb:
        raise InputError(
            f"{_store(sdata)} holds no H&E image for {region!r}",
            got=_describe_images(sdata),
            expected="an image of 3 channels (red, green, blue) and 8 bits",
            fix="Add the H&E image to the store",
        )
    views = [v for v in (_view(sdata, region, image) for image in rgb) if v is not None]
    if not views:
        raise InputError(
            f"No image of {_store(sdata)} shares a coordinate system with {region!r}",
            got=f"{region!r} in {', '.join(sorted(_matrices(sdata.shapes[region]))) or 'none'}",
            expected=f"one of {', '.join(rgb)}, and the spots, in one and the same",
            fix="Set the image's transformation to the coordinate system of the spots",
        )
    under = [v for v in views if _share_inside(sdata, v, xy) > 0.5]
    if not under:
        raise InputError(
            f"Image and spots of {name} do not overlap",
            got=f"spots {region!r}, images {', '.join(v.image for v in views)}",
            expected="spots on the image",
            fix="Correct the transformations in the store",
        )
    for narrow in (_named_like, _own_system):
        under = [v for v in under if narrow(sdata, region, v.image)] or under
    return max(under, key=lambda v: v.magnification)


def _named_like(sdata: SpatialData, region: str, image: str) -> bool:
    return image.lower().startswith(region.lower())


def _own_system(sdata: SpatialData, region: str, image: str) -> bool:
    others = {s for r in circle_elements(sdata) if r != region for s in _matrices(sdata.shapes[r])}
    shared = set(_matrices(sdata.shapes[region])) & set(_matrices(sdata.images[image]))
    return bool(shared - others)


def _view(sdata: SpatialData, region: str, image: str) -> View | None:
    spots, pixels = _matrices(sdata.shapes[region]), _matrices(sdata.images[image])
    shared = sorted(set(spots) & set(pixels))
    if not shared:
        return None
    system = region if region in shared else shared[0]
    return View(image, np.linalg.inv(pixels[system]) @ spots[system])


def _matrices(element: object) -> dict[str, np.ndarray]:
    """Coordinate system -> affine of (x, y, 1) from the element's own coordinates."""
    from spatialdata.transformations import get_transformation

    found = get_transformation(element, get_all=True)
    return {system: t.to_affine_matrix(_AXES, _AXES) for system, t in found.items()}


def _share_inside(sdata: SpatialData, view: View, xy: np.ndarray) -> float:
    first = first_scale(sdata.images[view.image])
    px = view.to_pixels(xy)
    size = np.array([first.sizes["x"], first.sizes["y"]])
    return float(((px >= 0) & (px < size)).all(axis=1).mean())


def _describe_images(sdata: SpatialData) -> str:
    told = []
    for name, element in sdata.images.items():
        first = first_scale(element)
        size = " x ".join(str(n) for n in first.shape)
        told.append(f"{name} ({size}, {first.dtype})")
    return ", ".join(told) or "no image"


def _store(sdata: SpatialData) -> str:
    return "The store" if sdata.path is None else sdata.path.name
