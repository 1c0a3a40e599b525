"""Which image of a SpatialData store lies under the spots, and where in it they lie."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.errors import InputError
from napari_umpire.faults import reading
from napari_umpire.slides.channels import channel_names
from napari_umpire.slides.place import inside
from napari_umpire.slides.readers.store_parts import circle_elements, store_name
from napari_umpire.slides.store_image import first_scale, is_rgb

if TYPE_CHECKING:
    from spatialdata import SpatialData

__all__ = ["View", "choose_view", "view_of"]

_AXES = ("x", "y")
_MAGNIFICATION = (1e-6, 1e6)
"""Px per unit of the spots' own coordinates, which may be m, px or nm."""

_FLATTENED = 100.0
"""A matrix that stretches one direction so much more than another lays all spots on a line."""

_SAME_PX = 2.0
_SAME_SHARE = 0.1
"""Places further apart than both, px and diameters of a spot, are two places."""


@dataclass(frozen=True)
class View:
    """An image element and how the spots' own coordinates become its pixels.

    Attributes
    ----------
    image
        Name of the element.
    matrix
        (3, 3) affine of (x, y, 1), from the shapes' coordinates to pixels of the finest scale.
    system
        The coordinate system that says so.
    """

    image: str
    matrix: np.ndarray
    system: str = "global"

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
        Where no image is red-green-blue, shares a coordinate system, or lies under the spots;
        where image and spots share several systems that put the spots in different places; and
        where a transformation cannot be inverted or is of no sensible size.
    """
    rgb = [image for image in sdata.images if is_rgb(sdata.images[image])]
    if wanted is not None:
        if wanted not in rgb:
            raise InputError(
                f"{store_name(sdata)} has no RGB image named {wanted!r}",
                got=", ".join(rgb) or _describe_images(sdata),
                fix="Name one of these with image=" if rgb else "Add the H&E image to the store",
            )
        rgb = [wanted]
    if not rgb:
        raise InputError(
            f"{store_name(sdata)} holds no H&E image for {region!r}",
            got=_describe_images(sdata),
            expected="an image of 3 channels (red, green, blue) and 8 bits",
            fix="Add the H&E image to the store",
        )
    by_image = {image: _views(sdata, region, image) for image in rgb}
    if not any(by_image.values()):
        raise InputError(
            f"No image of {store_name(sdata)} shares a coordinate system with {region!r}",
            got=f"{region!r} in {', '.join(sorted(_matrices(sdata, region))) or 'none'}",
            expected=f"one of {', '.join(rgb)}, and the spots, in one shared coordinate system",
            fix="Set the image's transformation to the coordinate system of the spots",
        )
    under = [v for views in by_image.values() for v in views if _share_inside(sdata, v, xy) > 0.5]
    if not under:
        raise InputError(
            f"Image and spots of {name} do not overlap",
            got=f"spots {region!r}, images {', '.join(i for i in rgb if by_image[i])}",
            expected="spots on the image",
            fix="Correct the transformations in the store",
        )
    for narrow in (_named_like, _own_system):
        under = [v for v in under if narrow(sdata, region, v.image)] or under
    views = by_image[max(under, key=lambda v: v.magnification).image]
    _check_agreement(sdata, region, xy, views, [i for i in rgb if by_image[i]])
    return views[0]


def view_of(sdata: SpatialData, region: str, image: str) -> View | None:
    """How an image lies under a region, where exactly one answer is given."""
    views = _views(sdata, region, image)
    first = views[0] if views else None
    if first is None or not all(np.allclose(v.matrix, first.matrix, rtol=1e-6) for v in views):
        return None
    return first


def _check_agreement(
    sdata: SpatialData, region: str, xy: np.ndarray, views: list[View], images: list[str]
) -> None:
    """Refuse an image under which the spots lie in one place by one system, elsewhere by another.

    Nobody can tell which of them the user means: every element begins in "global".
    """
    first = views[0]
    radius = np.asarray(sdata.shapes[region]["radius"], np.float64)
    diameter = 2 * float(np.nanmedian(radius)) * first.magnification
    same = max(_SAME_PX, _SAME_SHARE * diameter if math.isfinite(diameter) else 0.0)
    for other in views[1:]:
        # Both ends of the slide: a turn may leave its middle where it is.
        apart = np.linalg.norm(first.to_pixels(xy) - other.to_pixels(xy), axis=1)
        if apart.max() <= same:
            continue
        told = [f"{_middle(v, xy)} by {v.system!r}" for v in (first, other)]
        away = f"{np.median(apart):,.0f} px apart"
        if math.isfinite(diameter) and diameter > 0:
            away += f", {np.median(apart) / diameter:,.1f} times the diameter of a spot"
        others = [i for i in images if i != first.image]
        raise InputError(
            f"The coordinate systems of {store_name(sdata)} disagree about where the spots "
            f"{region!r} lie in the image {first.image!r}",
            got=f"their middle at {' and '.join(told)} ({away})",
            expected="one place by every system that both are in",
            fix="Remove the system that is wrong, for example "
            f"spatialdata.transformations.remove_transformation(sdata[{first.image!r}], "
            f"{first.system!r}, write_to_sdata=sdata), or correct it with set_transformation"
            + (f"; or choose another image ({', '.join(others)})" if others else ""),
        )


def _middle(view: View, xy: np.ndarray) -> str:
    x, y = np.median(view.to_pixels(xy), axis=0)
    return f"y {y:,.0f}, x {x:,.0f} px"


def _named_like(sdata: SpatialData, region: str, image: str) -> bool:
    return image.lower().startswith(region.lower())


def _own_system(sdata: SpatialData, region: str, image: str) -> bool:
    others = {s for r in circle_elements(sdata) if r != region for s in _matrices(sdata, r)}
    shared = set(_matrices(sdata, region)) & set(_matrices(sdata, image))
    return bool(shared - others)


def _views(sdata: SpatialData, region: str, image: str) -> list[View]:
    """One view for each coordinate system that both are in; the region's own system first."""
    spots, pixels = _matrices(sdata, region), _matrices(sdata, image)
    shared = sorted(set(spots) & set(pixels), key=lambda system: (system != region, system))
    views = []
    for system in shared:
        for name, matrix in ((region, spots[system]), (image, pixels[system])):
            _check_matrix(matrix, f"{name!r} of {store_name(sdata)} in {system!r}")
        matrix = np.linalg.solve(pixels[system], spots[system])
        _check_matrix(matrix, f"{region!r} of {store_name(sdata)} to the pixels of {image!r}")
        views.append(View(image, matrix, system))
    return views


def _check_matrix(matrix: np.ndarray, what: str) -> None:
    """Refuse an affine that no place can be computed with."""
    with np.errstate(all="ignore"):
        finite = np.isfinite(matrix).all()
        sides = np.linalg.svd(matrix[:2, :2], compute_uv=False) if finite else np.zeros(2)
        low, high = _MAGNIFICATION
        size = math.sqrt(float(sides[0]) * float(sides[1]))
        good = bool(finite) and low <= size <= high and sides[0] <= _FLATTENED * sides[1]
    if not good:
        told = "; ".join(", ".join(f"{v:g}" for v in row) for row in matrix[:2])
        raise InputError(
            f"The coordinate transformation of {what} cannot be used",
            got=f"the matrix ({told})",
            expected=f"finite numbers that scale both axes, by {low:g} to {high:g}",
            fix="Correct it with spatialdata.transformations.set_transformation, and write the "
            "store again",
        )


def _matrices(sdata: SpatialData, name: str) -> dict[str, np.ndarray]:
    """Coordinate system -> affine of (x, y, 1) from the element's own coordinates."""
    from spatialdata.transformations import get_transformation

    element = sdata.images[name] if name in sdata.images else sdata.shapes[name]
    with reading(
        f"The coordinate transformation of {name!r} of {store_name(sdata)} cannot be read",
        fix="Correct it with spatialdata.transformations.set_transformation, and write the store "
        "again",
    ):
        found = get_transformation(element, get_all=True)
        return {
            system: np.asarray(t.to_affine_matrix(_AXES, _AXES), np.float64)
            for system, t in found.items()
        }


def _share_inside(sdata: SpatialData, view: View, xy: np.ndarray) -> float:
    first = first_scale(sdata.images[view.image])
    extent = first.sizes["y"], first.sizes["x"]
    return float(inside(extent, view.to_pixels(xy)[:, ::-1]).mean())


def _describe_images(sdata: SpatialData) -> str:
    told = []
    for name, element in sdata.images.items():
        first = first_scale(element)
        size = " x ".join(str(n) for n in first.shape)
        names = [n for n in channel_names(first) if n] if "c" in first.dims else []
        channels = f", channels {' '.join(names[:6])}" if names else ""
        told.append(f"{name} ({size}, {first.dtype}{channels})")
    return ", ".join(told) or "no image"
