"""Slides, genes and models together: embeddings, references, predictions and their scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_umpire._lazy import attach

if TYPE_CHECKING:
    from napari_umpire.inference.cache import FeatureCache as FeatureCache
    from napari_umpire.inference.genes.search import GeneIndex as GeneIndex
    from napari_umpire.inference.model import Model as Model
    from napari_umpire.inference.model import load_model as load_model
    from napari_umpire.inference.predictions.direct import DirectPrediction as DirectPrediction
    from napari_umpire.inference.predictions.prediction import GenePrediction as GenePrediction
    from napari_umpire.inference.predictions.prediction import Prediction as Prediction
    from napari_umpire.inference.predictions.record import RunRecord as RunRecord
    from napari_umpire.inference.references.database import ReferenceDatabase as ReferenceDatabase

__all__ = [
    "DirectPrediction",
    "FeatureCache",
    "GeneIndex",
    "GenePrediction",
    "Model",
    "Prediction",
    "ReferenceDatabase",
    "RunRecord",
    "load_model",
]

_HERE = "napari_umpire.inference"

__getattr__, __dir__ = attach(
    __name__,
    {
        "DirectPrediction": f"{_HERE}.predictions.direct",
        "FeatureCache": f"{_HERE}.cache",
        "GeneIndex": f"{_HERE}.genes.search",
        "GenePrediction": f"{_HERE}.predictions.prediction",
        "Model": f"{_HERE}.model",
        "Prediction": f"{_HERE}.predictions.prediction",
        "ReferenceDatabase": f"{_HERE}.references.database",
        "RunRecord": f"{_HERE}.predictions.record",
        "load_model": f"{_HERE}.model",
    },
)
