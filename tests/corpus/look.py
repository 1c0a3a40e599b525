"""Looking at all of a slide, as a prediction, a reference and the window would."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from napari_umpire.slides.slide import Slide

__all__ = ["colour_at", "cross_at", "look_at", "slide_is"]

_MOST_TILES = 60


def look_at(path: Path, **options: Any) -> list[Slide]:
    """Open each slide of a path and read its scale, its pixels, its tissue and its counts."""
    from napari_umpire.slides.open import open_slides
    from napari_umpire.slides.tissue import tissue_mask

    slides = open_slides(path, **options)
    for slide in slides:
        assert np.isfinite(slide.mpp), "a scale that is not finite"
        for level in slide.pyramid.levels:
            rows, cols = level.grid
            places = [(r, c) for r in range(rows) for c in range(cols)]
            for row, col in places[:: max(1, len(places) // _MOST_TILES)]:
                level.read_tile(row, col)
        tissue_mask(slide.pyramid, slide.mpp)
        assert np.isfinite(slide.yx).all(), "spots at places that are not finite"
        if slide.has_counts:
            slide.counts()
    return slides


def colour_at(slide: Slide, y: float, x: float, edge: int = 24) -> np.ndarray:
    """Mean colour of the square of ``edge`` px around a place, (3,) float64."""
    level = slide.pyramid.levels[0]
    y, x, half = y / level.downsample, x / level.downsample, max(1, edge / 2 / level.downsample)
    pixels = level.read(round(y - half), round(x - half), round(y + half), round(x + half))
    return pixels.reshape(-1, 3).astype(float).mean(axis=0)


def cross_at(slide: Slide, level: int = 0) -> np.ndarray:
    """Where the black cross lies, (y, x) in full-resolution px, as one level shows it."""
    one = slide.pyramid.levels[level]
    dark = one.read(0, 0, *one.shape).astype(int).sum(axis=2) < 150
    return (np.argwhere(dark).mean(axis=0) + 0.5) * one.downsample


def slide_is(
    *,
    mpp: float | None = None,
    spots: int | None = None,
    size: tuple[int, int] | None = None,
    colours: dict[tuple[float, float], tuple[float, float, float]] | None = None,
    spot: dict[str, tuple[float, float]] | None = None,
    cross: tuple[float, float] | None = None,
    counts: bool | None = None,
    number: int = 1,
    genes: int | None = None,
) -> Any:
    """Return a check that the slides of a path are this; what is not named is not asked."""

    def check(slides: list[Slide]) -> None:
        assert len(slides) == number, f"{len(slides)} slides"
        for slide in slides:
            if mpp is not None:
                assert abs(slide.mpp / mpp - 1) < 0.02, f"{slide.mpp:g} um per px, right is {mpp}"
            if spots is not None:
                assert slide.n_spots == spots, f"{slide.n_spots} spots, right is {spots}"
            if size is not None:
                assert tuple(np.rint(slide.pyramid.extent)) == size, slide.pyramid.extent
            for place, wanted in (colours or {}).items():
                found = colour_at(slide, *place)
                assert np.abs(found - wanted).max() < 9, f"colour {found.round()} at {place}"
            for name, place in (spot or {}).items():
                found = slide.spots.loc[name, ["y", "x"]].to_numpy(float)
                assert np.abs(found - place).max() < 1.5, f"spot {name} at {found}, not {place}"
            if cross is not None:
                for number_, level in enumerate(slide.pyramid.levels):
                    if min(level.shape) < 16:  # too small to show it
                        continue
                    off = np.abs(cross_at(slide, number_) - cross).max()
                    assert off < 3 + 2 * level.downsample, f"cross {off:.0f} px beside its place"
            if counts is not None:
                assert slide.has_counts == counts, "counts" if slide.has_counts else "no counts"
            if genes is not None:
                assert slide.counts().shape[1] == genes, slide.counts().shape

    return check
