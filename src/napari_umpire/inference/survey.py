"""What can be said of a slide before a run: its tissue, and the genes shared with a model."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.errors import InputError
from napari_umpire.inference.references.format import REBUILD
from napari_umpire.progress import Progress, Steps

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from napari_umpire.slides.slide import Slide
    from napari_umpire.slides.tissue import TissueMask

__all__ = ["SharedGenes", "Survey", "TissueFacts", "shared_genes", "survey_steps", "tissue_facts"]

# Half a pixel of the mask, 4 um: the staircase goes, nothing that can be seen with it.
_SIMPLIFY = 0.5


@dataclass(frozen=True, eq=False)
class TissueFacts:
    """Where the tissue of a slide lies.

    Attributes
    ----------
    outlines
        Borders of pieces and of holes: closed rings (n, 2), full-resolution y, x.
    area_mm2
        Area of the tissue, mm2.
    share
        The same as part of the image, 0 to 1.
    """

    outlines: tuple[np.ndarray, ...]
    area_mm2: float
    share: float


@dataclass(frozen=True)
class SharedGenes:
    """How many genes the slide measured, the reference has, and both have."""

    measured: int
    reference: int
    shared: int


@dataclass(frozen=True, eq=False)
class Survey:
    """What `survey_steps` found; None where the slide or the model cannot tell."""

    tissue: TissueFacts | None
    genes: SharedGenes | None


_known: weakref.WeakKeyDictionary[Slide, TissueFacts] = weakref.WeakKeyDictionary()


def survey_steps(slide: Slide, model: Path | None) -> Steps[Survey]:
    """Find the tissue of ``slide``, once, and match its genes with the reference of ``model``.

    Parameters
    ----------
    model
        A model folder, without or with a reference; None: no model is at hand.

    Raises
    ------
    InputError
        Where the image, the counts or the reference cannot be read.
    """
    tissue = genes = None
    if slide.scale.mpp is not None:
        tissue = _known.get(slide)
        if tissue is None:
            yield Progress("Finding the tissue", 0, 0, "")
            tissue = _known[slide] = tissue_facts(slide, slide.tissue)
    if model is not None and slide.has_counts and (model / "reference" / "genes.csv").is_file():
        yield Progress("Matching genes", 0, 0, "")
        genes = shared_genes(slide.genes, _reference_genes(model / "reference" / "genes.csv"))
    return Survey(tissue, genes)


def tissue_facts(slide: Slide, mask: TissueMask) -> TissueFacts:
    """Outlines, area and share of a mask of ``slide``, whose scale is known."""
    from skimage.measure import approximate_polygon

    rings = (approximate_polygon(r, _SIMPLIFY * mask.downsample) for r in mask.outlines())
    height, width = slide.pyramid.extent
    # Blocks at the lower and right edge reach over it.
    rows, cols = (
        np.clip(extent / mask.downsample - np.arange(n), 0, 1)
        for n, extent in zip(mask.mask.shape, (height, width), strict=True)
    )
    pixels = float(rows @ mask.mask @ cols) * mask.downsample**2
    return TissueFacts(
        outlines=tuple(ring for ring in rings if len(ring) > 3),
        area_mm2=pixels * (slide.mpp / 1000) ** 2,
        share=pixels / (height * width),
    )


def _reference_genes(file: Path) -> pd.DataFrame:
    """The list alone: opening a reference checks its embeddings, which may be gigabytes."""
    import pandas as pd

    try:
        return pd.read_csv(file, dtype=str, keep_default_na=False).set_index("key")
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{file} is missing or damaged", got=error, fix=REBUILD) from error


def shared_genes(measured: pd.DataFrame, reference: pd.DataFrame) -> SharedGenes:
    """Count the genes of a slide and of a reference, matched as the gene maps are."""
    from napari_umpire.inference.genes.table import GeneTable

    frame = GeneTable.build(reference, measured).frame
    has_measured, has_reference = frame["measured"] != "", frame["predicted"] != ""
    return SharedGenes(
        int(has_measured.sum()), int(has_reference.sum()), int((has_measured & has_reference).sum())
    )
