"""Predicted gene maps on H&E slides, with the evidence behind each value.

>>> from napari_umpire import load_model, open_slide, run
>>> slide = open_slide("section.zarr")                            # doctest: +SKIP
>>> prediction = run(load_model("my-model").predict(slide))       # doctest: +SKIP
>>> prediction.gene_map("PIBF1")                                  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_umpire._lazy import attach

if TYPE_CHECKING:
    from napari_umpire.errors import InputError as InputError
    from napari_umpire.inference.model import Model as Model
    from napari_umpire.inference.model import load_model as load_model
    from napari_umpire.inference.predictions.prediction import Prediction as Prediction
    from napari_umpire.progress import run as run
    from napari_umpire.slides.open import open_slide as open_slide
    from napari_umpire.slides.slide import Slide as Slide

__version__ = "0.1.0"

__all__ = ["InputError", "Model", "Prediction", "Slide", "load_model", "open_slide", "run"]

__getattr__, __dir__ = attach(
    __name__,
    {
        "InputError": "napari_umpire.errors",
        "Model": "napari_umpire.inference.model",
        "Prediction": "napari_umpire.inference.predictions.prediction",
        "Slide": "napari_umpire.slides.slide",
        "load_model": "napari_umpire.inference.model",
        "open_slide": "napari_umpire.slides.open",
        "run": "napari_umpire.progress",
    },
)
