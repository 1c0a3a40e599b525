"""Asking a slide-status head, as its widget runs it. No Qt here: steps in, values out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.plugin.layers.raster import raster_of
from napari_umpire.plugin.layers.spot_map import SpotMap
from napari_umpire.plugin.runs.predict import model_steps
from napari_umpire.progress import Progress, Steps

if TYPE_CHECKING:
    from pathlib import Path

    from napari_umpire.inference.model import Model
    from napari_umpire.inference.status.slide_status import SlideStatus
    from napari_umpire.slides.slide import Slide

__all__ = ["MAP_KEY", "SHOWN_TILES", "Asked", "StatusRequest", "status_steps"]

MAP_KEY = "slide status"
SHOWN_TILES = 12
"""Tiles in the gallery."""

_CROP_PX = 128
_HIGHEST = 99.0
"""Percentile of attention at the end of the colour bar: one tile alone must not darken the rest."""


@dataclass(frozen=True)
class StatusRequest:
    """What is asked of which model.

    Attributes
    ----------
    model, head
        Source of the model; folder of its head.
    cache
        Folder of features, by which a cancelled run goes on; None: none.
    """

    model: str
    head: Path
    device: str = "auto"
    batch_size: int = 64
    cache: Path | None = None


@dataclass(frozen=True, eq=False)
class Asked:
    """What comes back.

    Attributes
    ----------
    slide
        As it was when it was asked about.
    spots
        (n_spots,) attention of each spot's tile over the mean of the tiles; NaN without tile.
    top
        (k,) rows of the most attended tiles; ``crops`` (k, h, w, 3) uint8 shows their fields.
    """

    slide: Slide
    status: SlideStatus
    model: Model
    spots: np.ndarray
    top: np.ndarray
    crops: np.ndarray

    def spot_map(self) -> SpotMap:
        """Attention to lay over the slide."""
        finite = self.spots[np.isfinite(self.spots)]
        high = float(np.percentile(finite, _HIGHEST)) if len(finite) else 1.0
        return SpotMap(
            key=MAP_KEY,
            title=f"attention ({self.status.config.name})",
            values=self.spots.astype(np.float32),
            # At least twice the mean, so that attention that is all alike does not look like a map.
            limits=(0.0, max(high, 2.0)),
            unit="× mean of the tiles",
            palette="attention",
        )


def status_steps(slide: Slide, asked: StatusRequest, loaded: Model | None) -> Steps[Asked]:
    """Load the model, unless it is ``loaded`` already, and ask its head about ``slide``.

    Raises
    ------
    InputError
        As `slide_status`.
    """
    from napari_umpire.inference.cache import FeatureCache
    from napari_umpire.inference.run import check_slide
    from napari_umpire.inference.status.slide_status import slide_status
    from napari_umpire.models.status_head import load_head
    from napari_umpire.slides.crops import crops

    check_slide(slide)
    head = load_head(asked.head)  # a damaged one is refused before minutes of work
    model = yield from model_steps(asked.model, asked.device, loaded)
    cache = None if asked.cache is None else FeatureCache(asked.cache)
    status = yield from slide_status(model, head, slide, batch_size=asked.batch_size, cache=cache)
    yield Progress("Cutting out the most attended tiles", 0, 0, "")
    raster_of(slide)
    top = status.top(SHOWN_TILES)
    pictures = crops(status.tiles, top, status.config.tiles.field_um, _CROP_PX)
    return Asked(slide, status, model, status.at(slide.yx), top, pictures)
