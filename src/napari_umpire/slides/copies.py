"""Whether one image shows what another shows at a larger scale, by a few places of both."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari_umpire.slides.pyramid import Level

__all__ = ["is_copy"]

# Nine places: some lie on tissue wherever it is. A place of 1024 px is a few tiles to decode.
_PLACES = (0.15, 0.5, 0.85)
_FINE_PX, _COARSE_PX = 1024, 256
_POOLED = 64
_LEAST_SPREAD = 4.0
# A copy has 0.95 or more, also one of every second pixel; another section with the same outline
# has up to 0.8.
_LEAST_CORRELATION = 0.85


def is_copy(fine: Level, coarse: Level) -> bool | None:
    """Compare nine places of a level with those of a finer one.

    Parameters
    ----------
    fine, coarse
        Their ``downsample`` says where one lies in the other.

    Returns
    -------
    bool | None
        Whether they show the same; None where there is nothing to see at these places.
    """
    factor = coarse.downsample / fine.downsample
    edge = max(1, min(_COARSE_PX, int(_FINE_PX / factor), *coarse.shape))
    pairs = []
    for y in _PLACES:
        for x in _PLACES:
            top, left = (int(p * (n - edge)) for p, n in zip((y, x), coarse.shape, strict=True))
            small = coarse.read(top, left, top + edge, left + edge)
            y0, x0 = int(top * factor), int(left * factor)
            y1 = min(max(y0 + 1, round((top + edge) * factor)), fine.shape[0])
            x1 = min(max(x0 + 1, round((left + edge) * factor)), fine.shape[1])
            pairs.append((_pooled(fine.read(y0, x0, y1, x1)), _pooled(small)))
    ours, theirs = (np.concatenate([pair[i].ravel() for pair in pairs]) for i in (0, 1))
    if min(ours.std(), theirs.std()) < _LEAST_SPREAD:
        return None
    return bool(np.corrcoef(ours, theirs)[0, 1] > _LEAST_CORRELATION)


def _pooled(pixels: np.ndarray) -> np.ndarray:
    """Grey means on a coarse grid, around their own mean: shifted pictures are alike in that."""
    from PIL import Image

    grey = Image.fromarray(pixels).convert("L").resize((_POOLED, _POOLED), Image.Resampling.BOX)
    values = np.asarray(grey, np.float64)
    return values - values.mean()
