"""Whether spots lie on the picture, and where it shows tissue, before anyone trusts their place."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.slides.thumbnails import thumbnail
from napari_umpire.slides.tissue import BLACK, tissue_of
from napari_umpire.slides.turned import TURN_WORDS, upright_points

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_umpire.slides.pyramid import Pyramid
    from napari_umpire.slides.tissue import TissueMask

__all__ = ["check_on_tissue", "check_overlap", "inside", "on_tissue", "turned"]

# Of twelve real sections 97 % of the spots or more lie on the mask as they are, and no other order
# of the axes does better; with the spots beside the tissue none comes nearer than 0.13.
_FEW = 0.75
_MANY = 0.9
_BETTER, _APART = 0.05, 0.1
# Fewer spots, or less tissue than dust, tell nothing; more spots tell no more.
_FEWEST_SPOTS, _MOST_SPOTS = 10, 50_000
_LEAST_TISSUE = 0.005
# Glass has one colour: in real pictures the median of its densities differs by 0.02 between red,
# green and blue.
_GLASS_OD = 0.1
_THUMBNAIL_PX = 256
_AS_THEY_ARE = TURN_WORDS[1]


def check_overlap(extent: tuple[float, float], yx: np.ndarray, *, name: str, image: str) -> None:
    """Refuse spots of which more than half lie outside the image; warn where some do.

    Parameters
    ----------
    extent
        (height, width) of the image in the px of ``yx``.
    yx
        (n_spots, 2) spot centres.

    Raises
    ------
    InputError
        Where more than half lie outside: the image is another one.
    """
    outside = int((~inside(extent, yx)).sum())
    if outside > len(yx) / 2:
        (y0, x0), (y1, x1) = yx.min(axis=0), yx.max(axis=0)
        raise InputError(
            f"Image and spots of {name} do not overlap",
            got=f"spots at y {y0:.0f} to {y1:.0f}, x {x0:.0f} to {x1:.0f} px; {image} is "
            f"{extent[0]:.0f} px high and {extent[1]:.0f} px wide",
            expected="spots on the image",
            fix="Give the image that the spots were found on",
        )
    if outside:
        warnings.warn(f"{name}: {outside} spots lie outside of {image}", UmpireWarning, 3)


def inside(extent: tuple[float, float], yx: np.ndarray) -> np.ndarray:
    """Which of (n, 2) points lie on an image of (height, width) ``extent``; (n,) bool."""
    return np.all((yx >= 0) & (yx < np.asarray(extent)), axis=1)


def check_on_tissue(
    pyramid: Pyramid,
    yx: np.ndarray,
    mpp: float | None,
    *,
    name: str,
    beside: np.ndarray | None = None,
) -> None:
    """Warn where few of the spots lie on tissue, or more would with the axes in another order.

    Nothing is said where the picture cannot tell: it does not show tissue on glass, there are fewer
    than ten spots, or the scale is not known.

    Parameters
    ----------
    pyramid
        The image.
    yx
        (n_spots, 2) centres of the spots in tissue, full-resolution px.
    mpp
        Um per full-resolution px.
    name
        Of the slide, for the warning.
    beside
        (n, 2) centres of the spots of the array that are not in tissue, where they are known: they
        show which order of the axes is right where the tissue nearly fills the array.
    """
    if mpp is None or len(yx) < _FEWEST_SPOTS:
        return
    within = on_tissue(pyramid, turned(yx, pyramid.extent), mpp)
    if within is None:
        return
    around: dict[str, float] | None = None
    if beside is not None and len(beside) >= _FEWEST_SPOTS:
        around = on_tissue(pyramid, turned(beside, pyramid.extent), mpp)
    here = within[_AS_THEY_ARE]
    if (other := _better(within, around, len(yx))) is not None:
        said = f"{_words(within, around, _AS_THEY_ARE)}, {_words(within, around, other)}"
        advice = "Check that image and spots belong together and have the same orientation"
    elif here < _FEW:
        said = f"only {here:.0%} of the spots lie on tissue"
        advice = "Check that image, spots and scale factors belong together"
    else:
        return
    warnings.warn(f"{name}: {said}. {advice}", UmpireWarning, stacklevel=3)


def _better(within: dict[str, float], around: dict[str, float] | None, n_spots: int) -> str | None:
    """The other order of the axes that fits clearly better, None where there is none."""
    here = within[_AS_THEY_ARE]
    if around is None:
        best = max(within, key=within.__getitem__)
        # The few spots at a border lie on tissue by chance.
        better = within[best] > here + _BETTER + 3 / n_spots
    else:
        # An order under which no more of the spots in tissue lie on it has nothing for it.
        apart = {key: share - around[key] for key, share in within.items()}
        best = max(apart, key=apart.__getitem__)
        better = apart[best] > apart[_AS_THEY_ARE] + _APART and within[best] > here + 0.01
    return best if better and within[best] >= _MANY else None


def _words(within: dict[str, float], around: dict[str, float] | None, order: str) -> str:
    if around is None:
        whose = " of the spots lie on tissue" if order == _AS_THEY_ARE else ""
        return f"{within[order]:.0%}{whose} {order}"
    if order == _AS_THEY_ARE:
        return (
            f"{within[order]:.0%} of the spots in tissue and {around[order]:.0%} of those beside "
            f"it lie on tissue {order}"
        )
    return f"{within[order]:.0%} and {around[order]:.0%} {order}"


def on_tissue(
    pyramid: Pyramid, places: Mapping[str, np.ndarray], mpp: float
) -> dict[str, float] | None:
    """Share of the points on tissue, for each set of (n, 2) points in full-resolution px.

    None where the picture shows no tissue on glass.
    """
    mask = tissue_of(pyramid, mpp)
    if mask.mask.mean() < _LEAST_TISSUE or not _on_glass(pyramid, mask):
        return None
    return {
        key: float(mask.contains(yx[:: -(-len(yx) // _MOST_SPOTS)]).mean())
        for key, yx in places.items()
    }


def _on_glass(pyramid: Pyramid, mask: TissueMask) -> bool:
    """Whether what the mask leaves out has one colour, as glass has; passes where it is nothing."""
    pixels, step = thumbnail(pyramid, _THUMBNAIL_PX)
    centres = (np.moveaxis(np.indices(pixels.shape[:2]), 0, -1).reshape(-1, 2) + 0.5) * step
    rest = pixels.reshape(-1, 3)[~mask.contains(centres)]
    rest = rest[rest.max(axis=1) > BLACK].astype(np.float64) + 1
    if not rest.size:
        return True
    density = -np.log(rest / np.percentile(rest, 90, axis=0))
    return bool(np.median(np.ptp(density, axis=1)) < _GLASS_OD)


def turned(yx: np.ndarray, extent: tuple[float, float]) -> dict[str, np.ndarray]:
    """The spots as they are and in the 7 other turns and mirror images, by what was done.

    Parameters
    ----------
    yx
        (n, 2) points, px.
    extent
        (height, width) of the image that they lie on, px.
    """
    return {words: upright_points(yx, extent, turn) for turn, words in TURN_WORDS.items()}
