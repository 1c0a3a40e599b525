"""Slide status: the probability of each class for a whole slide, and which tiles it rests on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.progress import Progress, Steps

if TYPE_CHECKING:
    from pathlib import Path

    from napari_umpire.inference.cache import FeatureCache
    from napari_umpire.inference.model import Model
    from napari_umpire.models.status_config import StatusConfig, TileConfig
    from napari_umpire.models.status_head import StatusHead
    from napari_umpire.slides.slide import Slide

__all__ = ["SlideStatus", "slide_status", "tile_inputs", "tiles_of"]


@dataclass(frozen=True, eq=False)
class SlideStatus:
    """What a head says of one slide.

    Attributes
    ----------
    slide_name
        The slide.
    config, head_digest
        Which head said so.
    tiles
        The slide with the tiles as its spots: where they are, and crops of them.
    probability
        (n_classes,) float64, sums to 1, in the order of ``config.classes``.
    attention
        (n_tiles,) float64, the share of each tile in the answer; sums to 1.
    seen
        Whether the head was trained on this very slide.
    distance
        How far the tiles lie from the mean tile of the training, as ``config.farthest``; None where
        the head does not tell.
    """

    slide_name: str
    config: StatusConfig
    head_digest: str
    tiles: Slide
    probability: np.ndarray
    attention: np.ndarray
    seen: bool = False
    distance: float | None = None

    @property
    def is_foreign(self) -> bool:
        """Whether the tiles lie farther out than those of any training patient."""
        farthest = self.config.farthest
        return farthest is not None and self.distance is not None and self.distance > farthest

    @property
    def n_tiles(self) -> int:
        """Number of tiles."""
        return len(self.attention)

    @property
    def predicted(self) -> int:
        """Place of the most probable class."""
        return int(np.argmax(self.probability))

    @property
    def relative(self) -> np.ndarray:
        """Attention as a multiple of what each tile had if all had the same, (n_tiles,)."""
        return self.attention * self.n_tiles

    @property
    def effective_tiles(self) -> float:
        """How many tiles with equal shares would be as concentrated: 1 / sum of squares."""
        return float(1.0 / np.square(self.attention).sum())

    def top(self, k: int) -> np.ndarray:
        """Rows of the ``k`` most attended tiles, (k,) int64, most attended first."""
        return np.argsort(-self.attention, kind="stable")[:k]

    def at(self, yx: np.ndarray) -> np.ndarray:
        """Relative attention of the tile around each point, (m,) float64; NaN where none is.

        Parameters
        ----------
        yx
            (m, 2) points, full-resolution px. Of a head that reads spots they are its spots.
        """
        from napari_umpire.slides.tiles import tile_of

        if self.config.tiles.kind == "spots":
            if not np.array_equal(yx, self.tiles.yx):
                raise ValueError("the points are not the spots of the slide")
            return self.relative
        rows = tile_of(self.tiles, yx)
        return np.where(rows >= 0, self.relative[rows], np.nan)

    def nearest_spot(self, tile: int, yx: np.ndarray) -> int | None:
        """Row of ``yx`` that lies nearest to a tile's centre; None where none is in its field."""
        if not len(yx):
            return None
        distance = np.abs(np.asarray(yx, np.float64) - self.tiles.yx[tile]).max(axis=1)
        row = int(np.argmin(distance))
        reach = self.config.tiles.field_um / self.tiles.mpp / 2
        return row if distance[row] <= reach else None


def tiles_of(slide: Slide, tiles: TileConfig) -> Slide:
    """The slide with the tiles that a head wants as its spots.

    Raises
    ------
    InputError
        Where the slide's physical scale is not known, or it has no tissue, or no spots.
    """
    from napari_umpire.inference.run import check_slide
    from napari_umpire.slides.tiles import tiled

    slide.scale.require(slide.name)
    found = slide if tiles.kind == "spots" else tiled(slide, tiles.pitch_um)
    check_slide(found)
    return found


def tile_inputs(
    model: Model,
    tiles: Slide,
    config: TileConfig,
    *,
    batch_size: int = 64,
    cache: FeatureCache | None = None,
) -> Steps[np.ndarray]:
    """What goes into a head: (n_tiles, dim) float32, in the order of ``tiles.spots``.

    The field of ``config`` is shown to the model at its own size in px, as published: 256 px at
    20x (128 um) become 224 px.

    Raises
    ------
    InputError
        For a slide whose image is too coarse.
    """
    from dataclasses import replace

    from napari_umpire.inference.embed_slide import image_embeddings, image_features

    spec = replace(model.patch_spec, field_um=config.field_um)
    compute = image_features if config.source == "features" else image_embeddings
    return (yield from compute(model, tiles, batch_size, cache, spec))


def slide_status(
    model: Model,
    head: StatusHead | str | Path,
    slide: Slide,
    *,
    batch_size: int = 64,
    cache: FeatureCache | None = None,
) -> Steps[SlideStatus]:
    """Ask a head of ``model`` about a slide.

    Parameters
    ----------
    head
        One of the model's, loaded or by its folder.
    cache
        Where features of tiles are kept, so that a cancelled run goes on.

    Raises
    ------
    InputError
        For a head of another model, a damaged one, or a slide without scale or tissue.
    """
    import torch

    from napari_umpire.inference.finite import check_finite
    from napari_umpire.models.status_head import StatusHead, load_head

    if not isinstance(head, StatusHead):
        head = load_head(head)
    check_head(model, head)
    yield Progress("Finding the tissue", 0, 0, "")
    tiles = tiles_of(slide, head.config.tiles)
    x = yield from tile_inputs(model, tiles, head.config.tiles, batch_size=batch_size, cache=cache)
    yield Progress("Asking the slide-status head", 0, 0, "")
    module = head.module.to(model.device)
    with torch.inference_mode():
        tensor = torch.from_numpy(x).to(model.device)
        out = module(tensor)
        distance = module.distance(tensor)
    attention = out.attention.double().cpu().numpy()
    probability = torch.softmax(out.logits.double(), dim=-1).cpu().numpy()
    check_finite(f"The slide status of {slide.name}", probability, attention, distance)
    return SlideStatus(
        slide_name=slide.name,
        config=head.config,
        head_digest=head.digest,
        tiles=tiles,
        probability=probability,
        attention=attention / attention.sum(),
        seen=slide.digest in head.config.trained_on.values(),
        distance=distance if head.config.farthest is not None else None,
    )


def check_head(model: Model, head: StatusHead) -> None:
    """Refuse a head that does not belong to ``model``.

    Raises
    ------
    InputError
        Where it was trained with another model, or takes other numbers than the model gives.
    """
    from napari_umpire.errors import InputError

    config = head.config
    config.check_model(model.digest)
    wanted = model.module.image_dim if config.tiles.source == "features" else model.config.dim
    if config.abmil.dim != wanted:
        raise InputError(
            f"The slide-status head {config.name} takes {config.abmil.dim} numbers per tile",
            got=f"{wanted} from the model",
        )
