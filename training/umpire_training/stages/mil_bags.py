"""Bags: the tiles of each patient, computed once, on disk, read when they are needed."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from napari_umpire.inference.cache import FeatureCache
    from napari_umpire.inference.model import Model
    from napari_umpire.models.status_config import TileConfig
    from napari_umpire.progress import Steps
    from napari_umpire.slides.slide import Slide
    from umpire_training.corpus.patients import Patients

__all__ = ["Bags", "check_slides", "make_bags"]


@dataclass(frozen=True, eq=False)
class Bags:
    """One bag per patient: the tiles of all slides of the patient, one below the other.

    Attributes
    ----------
    parts
        Per patient the arrays of its slides, each (n_tiles, dim) float32, memory-mapped.
    """

    parts: tuple[tuple[np.ndarray, ...], ...]

    def __len__(self) -> int:
        return len(self.parts)

    @property
    def dim(self) -> int:
        """Numbers per tile."""
        return self.parts[0][0].shape[1]

    @property
    def n_tiles(self) -> int:
        """Tiles of all patients."""
        return sum(len(part) for parts in self.parts for part in parts)

    def bag(self, patient: int) -> np.ndarray:
        """(n_tiles, dim) float32 of one patient."""
        return np.concatenate(self.parts[patient])

    def statistics(self, patients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation over all tiles of some patients, (dim,) float32 each."""
        n, mean, spread = 0, np.zeros(self.dim), np.zeros(self.dim)
        for patient in patients:
            bag = self.bag(int(patient)).astype(np.float64)
            m = len(bag)
            delta = bag.mean(axis=0) - mean
            spread += bag.var(axis=0) * m + delta**2 * n * m / (n + m)
            mean += delta * m / (n + m)
            n += m
        return mean.astype(np.float32), np.sqrt(spread / n).astype(np.float32)


def check_slides(model: Model, slides: Mapping[str, Slide], config: TileConfig) -> None:
    """Refuse, before hours of work, a slide without scale or too coarse for the model.

    Raises
    ------
    InputError
        Naming the first.
    """
    from dataclasses import replace

    from napari_umpire.slides.patches import plan_patches

    spec = replace(model.patch_spec, field_um=config.field_um)
    for slide in slides.values():
        plan_patches(slide, spec)


def make_bags(
    model: Model,
    slides: Mapping[str, Slide],
    patients: Patients,
    config: TileConfig,
    folder: Path,
    *,
    batch_size: int,
    cache: FeatureCache,
) -> Steps[Bags]:
    """Compute the tiles of every slide, unless ``folder`` has them, and put them into bags.

    Raises
    ------
    InputError
        For a slide without tissue, naming it.
    """
    from napari_umpire.files import make_folder
    from napari_umpire.inference.arrays import replace_array
    from napari_umpire.inference.status.slide_status import tile_inputs, tiles_of

    make_folder(folder)
    made: dict[str, np.ndarray] = {}
    for name, slide in slides.items():
        said = repr((slide.digest, model.digest, model.bf16, sorted(asdict(config).items())))
        path = folder / f"{hashlib.sha256(said.encode()).hexdigest()[:24]}.npy"
        if not path.is_file():
            tiles = tiles_of(slide, config)
            x = yield from tile_inputs(model, tiles, config, batch_size=batch_size, cache=cache)
            replace_array(path, x)
        try:
            made[name] = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise InputError(
                f"{path} is damaged", got=error, fix="Remove it; --resume makes it again"
            ) from error
    return Bags(tuple(tuple(made[slide] for slide in mine) for mine in patients.slides))
