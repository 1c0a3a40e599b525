"""What the widgets run in a thread. No Qt here: steps in, values out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_umpire.plugin.layers.raster import raster_of
from napari_umpire.progress import Progress, Steps

if TYPE_CHECKING:
    from pathlib import Path

    from napari_umpire.inference.genes.measured import Measured
    from napari_umpire.inference.model import Model
    from napari_umpire.inference.predictions.prediction import GenePrediction
    from napari_umpire.inference.predictions.record import Method
    from napari_umpire.inference.predictions.weights import Weighting
    from napari_umpire.slides.slide import Slide

__all__ = [
    "PredictOptions",
    "Predicted",
    "measured_steps",
    "model_steps",
    "predict_steps",
    "raster_steps",
    "rescale_steps",
]

_TRIED_GENES = 200


@dataclass(frozen=True)
class PredictOptions:
    """The form of the Predict widget.

    Attributes
    ----------
    batch_size
        Patches at once; halved where the device has too little memory.
    reference
        Another reference than the model's own.
    cache
        Folder of features, by which a cancelled run goes on where it stopped; None: no cache.
    method
        As `Model.predict` takes it.
    """

    model: str
    device: str = "auto"
    k: int = 50
    weighting: Weighting = "softmax"
    batch_size: int = 64
    reference: str | None = None
    cache: Path | None = None
    method: Method | Literal["auto"] = "auto"


@dataclass(frozen=True)
class Predicted:
    """What a run hands back.

    Attributes
    ----------
    opening_gene
        A gene whose map shows something, to look at first.
    """

    prediction: GenePrediction
    model: Model
    opening_gene: str


def predict_steps(
    slide: Slide, options: PredictOptions, loaded: Model | None = None
) -> Steps[Predicted]:
    """Load the model, unless it is ``loaded`` already, and predict ``slide``.

    Raises
    ------
    InputError
        For a path that is no model, a model without reference, a slide without scale or spots.
    """
    from napari_umpire.inference.cache import FeatureCache
    from napari_umpire.inference.run import check_slide

    check_slide(slide)
    model = yield from model_steps(options.model, options.device, loaded)
    cache = None if options.cache is None else FeatureCache(options.cache)
    prediction = yield from model.predict(
        slide,
        method=options.method,
        reference=options.reference,
        k=options.k,
        weighting=options.weighting,
        batch_size=options.batch_size,
        cache=cache,
    )
    yield Progress("Choosing a gene to show first", 0, 0, "")
    raster_of(slide)
    return Predicted(prediction, model, _opening_gene(prediction))


def model_steps(source: str, device: str, loaded: Model | None) -> Steps[Model]:
    """The model at ``source`` on ``device``: ``loaded`` where it is that one, else read anew."""
    from napari_umpire.inference.model import load_model

    same_device = loaded is not None and device in ("auto", loaded.device.type)
    if loaded is not None and loaded.source == source and same_device:
        return loaded
    yield Progress("Loading the model", 0, 0, "")
    return load_model(source, device=device)


def measured_steps(slide: Slide) -> Steps[Measured]:
    """Read and normalise the counts of ``slide``, and make its raster: neither in the window."""
    from napari_umpire.inference.genes.measured import read_measured

    measured = yield from read_measured(slide)
    raster_of(slide)
    return measured


def raster_steps(slide: Slide) -> Steps[Slide]:
    """Make the raster of ``slide``, and hand the slide back."""
    yield Progress("Drawing the spots", 0, 0, "")
    raster_of(slide)
    return slide


def rescale_steps(slide: Slide, mpp: float | None) -> Steps[Slide]:
    """The same slide with its scale given by the user, um per full-resolution px.

    The tissue outline and the spots of a plain image are placed in um: it gets new ones.

    Parameters
    ----------
    mpp
        None: the scale that the files state, whatever the user had said.

    Raises
    ------
    InputError
        For an impossible scale, or files that another program has changed meanwhile.
    """
    from napari_umpire.slides.open import open_slide, sniff
    from napari_umpire.slides.scale import resolve_scale

    yield Progress("Finding the tissue", 0, 0, "")
    slide.check_source()  # the window goes on showing the pixels that were there when it was opened
    if slide.path is not None and slide.platform == "image":
        several = slide.scene is not None or sniff(slide.path) == "spatialdata"
        region = slide.region if several else None
        return open_slide(slide.path, mpp=mpp, name=slide.name, region=region)
    stated = dict(slide.scale.candidates)
    stated.pop("user", None)
    scaled = slide.with_scale(resolve_scale(stated, mpp, name=slide.name))
    raster_of(scaled)  # what was measured is shown again at once
    return scaled


def _opening_gene(prediction: GenePrediction) -> str:
    """The gene that varies most over the slide, among some tried."""
    names = prediction.genes.index.astype(str)
    tried = names[np.unique(np.linspace(0, len(names) - 1, _TRIED_GENES).astype(int))]

    def spread(gene: str) -> float:
        values = prediction.gene_map(gene)
        values = values[np.isfinite(values)]
        return float(values.std()) if len(values) else 0.0

    return str(max(tried, key=spread))
