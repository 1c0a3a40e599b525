"""What a model folder says of itself, read without loading the model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from napari_umpire.bounded import read_json
from napari_umpire.errors import InputError
from napari_umpire.faults import reading
from napari_umpire.models.config_json import from_data
from napari_umpire.models.vision_config import VisionConfig

if TYPE_CHECKING:
    from napari_umpire.inference.predictions.record import Method
    from napari_umpire.slides.slide import Slide

__all__ = ["HubModel", "ModelPeek", "peek"]

_FITS = 1.05
_ROUNDING = 1 + 2e-3  # as `plan_patches` allows it


@dataclass(frozen=True)
class HubModel:
    """A model that is not at hand: only a run downloads it."""

    name: str


@dataclass(frozen=True)
class ModelPeek:
    """The parts of a model's configuration that a user wants to know before a run.

    Attributes
    ----------
    encoder
        Name of the image encoder.
    field_um, size_px
        Side of the patch that it looks at, and how many px it makes of it.
    has_reference
        Whether the folder holds the reference spots that a retrieval needs.
    n_decoded
        Genes that its decoder predicts from the image alone; 0: it has none.
    aligned
        False: it was trained by reconstruction alone, and cannot retrieve.
    """

    name: str
    encoder: str
    field_um: float
    size_px: int
    has_reference: bool
    n_decoded: int = 0
    aligned: bool = True

    @property
    def methods(self) -> tuple[Method, ...]:
        """How it predicts by what is in its folder, what it would choose first."""
        retrieval: tuple[Method, ...] = ("retrieval",) if self.can_retrieve else ()
        return (*retrieval, "decoder") if self.n_decoded else retrieval

    @property
    def can_retrieve(self) -> bool:
        """Whether it has a reference of its own, and embeddings to compare with it."""
        return self.aligned and self.has_reference

    @property
    def mpp(self) -> float:
        """Um per px of its patches."""
        return self.field_um / self.size_px

    def fit(self, slide: Slide) -> Literal["fits", "coarse", "too coarse"]:
        """Whether the image of ``slide``, whose scale is known, is fine enough for it."""
        from napari_umpire.slides.patches import PatchSpec

        finest = _finest(slide)
        if finest <= self.mpp * _FITS:
            return "fits"
        most = self.mpp * PatchSpec.max_upsampling * _ROUNDING
        return "coarse" if finest <= most else "too coarse"


def _finest(slide: Slide) -> float:
    """Um per px of the finest image at hand."""
    return slide.mpp * slide.pyramid.levels[0].downsample


def peek(folder: str | Path) -> ModelPeek:
    """Read the configuration in a model folder.

    Raises
    ------
    InputError
        Where the folder is not a model.
    """
    path = Path(folder).expanduser()
    file = path / "config.json"
    wanted = "a folder with config.json, model.safetensors and genes.csv"
    if not file.is_file():
        got = "no such folder" if not path.exists() else f"a folder without {file.name}"
        if path.is_file():
            got = "a file"
        raise InputError(f"{path} is not a model", got=got, expected=wanted)
    with reading(f"{file} is not the configuration of a model", expected=wanted):
        whole = read_json(file, what=str(file))
        settings, decoder = whole["vision"], whole.get("decoder") or {}
        n_decoded, alone = len(decoder.get("genes", ())), decoder.get("alone") is True
    # Not the whole configuration: its other parts cost the import of torch.
    vision = from_data(VisionConfig, settings, f"{file}, vision")
    has_reference = (path / "reference").is_dir()
    return ModelPeek(
        path.name, vision.name, vision.field_um, vision.size_px, has_reference, n_decoded,
        aligned=not alone,
    )  # fmt: skip
