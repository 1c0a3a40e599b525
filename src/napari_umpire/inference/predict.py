"""The two ways from a slide's image to its genes: by similar spots, or straight."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.genes.normalise import LARGEST
from napari_umpire.inference.embed_slide import image_features, in_context, in_parts
from napari_umpire.inference.finite import check_embeddings, check_finite
from napari_umpire.inference.run import make_record
from napari_umpire.progress import Progress

if TYPE_CHECKING:
    from napari_umpire.genes.vocabulary import GeneVocabulary
    from napari_umpire.inference.cache import FeatureCache
    from napari_umpire.inference.model import Model
    from napari_umpire.inference.predictions.direct import DirectPrediction
    from napari_umpire.inference.predictions.prediction import Prediction
    from napari_umpire.inference.predictions.weights import Weighting
    from napari_umpire.inference.references.database import ReferenceDatabase
    from napari_umpire.progress import Steps
    from napari_umpire.slides.slide import Slide

__all__ = ["decode", "retrieve"]

_MOST_BEYOND = 0.01
"""Share of values: a spot unlike all of the training may lie beyond, a whole slide may not."""


def retrieve(
    model: Model,
    slide: Slide,
    reference: ReferenceDatabase,
    k: int,
    weighting: Weighting,
    batch_size: int,
    cache: FeatureCache | None,
) -> Steps[Prediction]:
    """Each spot from its K most similar references; `Model.predict` says the rest."""
    from napari_umpire.inference.predictions.prediction import Prediction
    from napari_umpire.inference.predictions.weights import weights

    embeddings = yield from model.embed_images(slide, batch_size=batch_size, cache=cache)
    yield Progress("Searching the reference", 0, slide.n_spots)
    indices, similarity = reference.top_k(embeddings, k, device=model.device)
    yield Progress("Searching the reference", slide.n_spots, slide.n_spots)
    return Prediction(
        slide_name=slide.name,
        spots=slide.spots,
        reference=reference,
        indices=indices,
        similarity=similarity,
        weight=weights(similarity, weighting, float(model.module.scale.detach())),
        record=make_record(model, slide, batch_size, reference=reference, k=k, weighting=weighting),
        embeddings=embeddings,
    )


def decode(
    model: Model, slide: Slide, batch_size: int, cache: FeatureCache | None
) -> Steps[DirectPrediction]:
    """Each spot by the model's decoder, which reads what the projection reads.

    The embeddings come along where the model has any: they cost nothing more.
    """
    from napari_umpire.inference.predictions.direct import DirectPrediction

    assert model.config.decoder is not None
    features = yield from image_features(model, slide, batch_size, cache)
    wide = in_context(model, slide, features)
    yield Progress("Decoding", 0, slide.n_spots)
    values = _possible(in_parts(model, model.module.decode, wide), slide.name)
    embeddings = None
    if model.config.aligned:
        found = in_parts(model, model.module.project_image, wide)
        embeddings = check_embeddings(found, slide.spots.index, slide.name)
    yield Progress("Decoding", slide.n_spots, slide.n_spots)
    return DirectPrediction(
        slide_name=slide.name,
        spots=slide.spots,
        values=values,
        panel=_named(model.config.decoder.genes, model.vocabulary),
        record=make_record(model, slide, batch_size),
        embeddings=embeddings,
    )


def _possible(values: np.ndarray, where: str) -> np.ndarray:
    """Decoded values within what log1p CP10k can be; a few beyond it are cut, with a warning.

    Raises
    ------
    InputError
        Where they are not finite, or where so many are beyond that the decoder is broken.
    """
    check_finite(f"The prediction of {where}", values)
    beyond = int((values > LARGEST).sum())
    if beyond > _MOST_BEYOND * values.size:
        raise InputError(
            f"The decoder's prediction of {where} is impossible",
            got=f"{beyond:,} of {values.size:,} values above {LARGEST:.2f}, up to "
            f"{values.max():.3g}",
            expected=f"log1p of counts scaled to 10,000: 0 to {LARGEST:.2f}",
            fix="Check the model's weights, and that the slide is H&E at the scale that it says",
        )
    if beyond:
        warnings.warn(
            f"The decoder predicts {beyond:,} of {values.size:,} values of {where} beyond "
            f"{LARGEST:.2f}, up to {values.max():.3g}, which expression cannot be; they are set "
            "to it.",
            UmpireWarning,
            stacklevel=2,
        )
    return np.minimum(values, np.float32(LARGEST))


def _named(ids: tuple[str, ...], vocabulary: GeneVocabulary) -> pd.DataFrame:
    """The genes of a prediction: index = gene of the vocabulary, columns ``id`` and ``symbol``."""
    from napari_umpire.genes.columns import gene_table

    # A vocabulary of symbols has them in place of ids.
    symbols = pd.Series(vocabulary.symbols, index=vocabulary.ids).loc[list(ids)]
    return gene_table(pd.DataFrame({"symbol": symbols.to_numpy()}, index=list(ids)))
