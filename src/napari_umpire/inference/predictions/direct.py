"""A prediction straight from the image: values, and nothing behind them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.inference.finite import check_finite
from napari_umpire.inference.predictions.prediction import GenePrediction

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from napari_umpire.inference.predictions.record import RunRecord

__all__ = ["DirectPrediction"]


@dataclass(frozen=True, eq=False, repr=False)
class DirectPrediction(GenePrediction):
    """Each spot by a network that reads its image and writes expression (UMPIRE-REC).

    There are no references, so no evidence, similarity or spread.

    Attributes
    ----------
    values
        (n_spots, g) float32, log1p CP10k.
    panel
        The g genes of the columns: index = gene key, columns ``id`` and ``symbol``.
    """

    slide_name: str
    spots: pd.DataFrame
    values: np.ndarray
    panel: pd.DataFrame
    record: RunRecord
    embeddings: np.ndarray | None = None
    has_evidence: bool = False

    def __post_init__(self) -> None:
        if self.values.shape != (len(self.spots), len(self.panel)):
            raise ValueError(
                f"values {self.values.shape} do not fit {len(self.spots)} spots and "
                f"{len(self.panel)} genes"
            )
        check_finite(f"The prediction of {self.slide_name}", self.values)

    def __repr__(self) -> str:
        return (
            f"<DirectPrediction of {self.slide_name!r}: {self.n_spots:,} spots, "
            f"{len(self.genes):,} genes, from the image alone, without evidence>"
        )

    @property
    def genes(self) -> pd.DataFrame:
        """The genes of the decoder: index = gene key, columns ``id`` and ``symbol``."""
        return self.panel

    @cached_property
    def _column(self) -> dict[str, int]:
        return {str(key): column for column, key in enumerate(self.genes.index)}

    def _gene_map(self, key: str) -> np.ndarray:
        # A copy: what a layer or a user does to a map must not reach the prediction.
        return np.array(self.values[:, self._column[key]], np.float32)

    def save(self, path: str | Path) -> Path:
        """Write to a new ``.npz`` file: see `predictions.file`."""
        from pathlib import Path

        from napari_umpire.inference.predictions.file import save

        return save(self, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> DirectPrediction:
        """Read what `save` wrote."""
        from pathlib import Path

        from napari_umpire.inference.predictions.file import load_direct

        return load_direct(Path(path))
