"""Where a case is made, and the intact things that it starts from."""

from __future__ import annotations

import os
import pickle
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import builders

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Code", "Place"]


@dataclass(frozen=True)
class Place:
    """A folder of its own for a case, and copies of the intact slides and of the small model."""

    folder: Path
    base: Path

    def prepare(self) -> None:
        """Make in ``base`` what the copies are of."""
        from napari_umpire.slides.convert import write_slide
        from napari_umpire.slides.open import open_slide

        builders.visium(self.base / "outs", full=True)
        builders.visium(self.base / "mtx", h5=False)
        slide = open_slide(self.base / "outs")
        write_slide(slide, self.base / "store.zarr")
        builders.legacy(self.base / "legacy")
        visium_1 = builders.visium(self.base / "first", seed=1)
        visium_2 = builders.visium(self.base / "second", seed=2)
        _make_model(self.base, slide, [open_slide(visium_1), open_slide(visium_2)])

    def copy(self, name: str) -> Path:
        """A copy of an intact slide: "outs", "mtx", "store.zarr", "legacy", or of "model"."""
        return shutil.copytree(self.base / name, self.folder / name)

    @property
    def canary(self) -> Path:
        """The file that `Code` makes if it is run."""
        return self.folder / "CANARY"

    def code(self, protocol: int = 2) -> bytes:
        """A pickle that makes the canary when it is read without guard."""
        return pickle.dumps(Code(str(self.canary)), protocol)


class Code:
    """Its pickle runs a command."""

    def __init__(self, canary: str) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return os.system, (f"touch '{self.canary}'",)


def _make_model(base: Path, slide: Any, others: list[Any]) -> None:
    """A tiny model with random weights, a reference of two other slides, and what it predicts."""
    import numpy as np

    from napari_umpire.inference.model import load_model
    from napari_umpire.progress import run

    from ..inference.conftest import save_tiny_model
    from .models.trial import predict

    save_tiny_model(base / "model", others)
    model = load_model(base / "model", device="cpu")
    run(model.build_reference(others, base / "model/reference", min_genes=1, patches=True))
    np.save(base / "intact.npy", predict(base / "model", base / "outs"))
