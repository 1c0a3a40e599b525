"""What a prediction needs settled before it starts, and its record."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.inference.predictions.record import RunRecord, provenance
from napari_umpire.inference.predictions.weights import check_weighting
from napari_umpire.inference.references.database import ReferenceDatabase

if TYPE_CHECKING:
    from napari_umpire.inference.model import Model
    from napari_umpire.inference.predictions.record import Method
    from napari_umpire.inference.predictions.weights import Weighting
    from napari_umpire.slides.slide import Slide

__all__ = [
    "check_aligned",
    "check_options",
    "check_slide",
    "choose_method",
    "choose_reference",
    "make_record",
]


def check_options(k: int, weighting: str, batch_size: int) -> None:
    """Refuse options that cannot be, before minutes of work rather than after."""
    if k < 1:
        raise InputError("The number of references per spot must be at least 1", got=k)
    check_weighting(weighting)
    if batch_size < 1:
        raise InputError("The batch size must be at least 1", got=batch_size)


def check_slide(slide: Slide) -> None:
    """Refuse a slide whose image cannot be embedded: without physical scale, without spots, or
    changed by another program since it was opened.
    """
    slide.scale.require(slide.name)
    slide.check_source()
    if slide.n_spots == 0:
        raise InputError(
            f"Slide {slide.name} has no spots",
            expected="tissue on the slide",
            fix="Check its um per px: with a wrong scale no spot fits on the tissue",
        )


def check_aligned(model: Model) -> None:
    """Refuse what needs embeddings where the training made none."""
    if not model.config.aligned:
        raise InputError(
            f"The model {model.name} was trained by reconstruction alone: it has no gene encoder "
            "and no embeddings, so nothing can be retrieved or compared with it",
            expected="a model that was trained by a contrastive loss",
            fix="Predict genes with its decoder, or take another model",
        )


def choose_method(
    model: Model,
    method: Method | Literal["auto"] = "auto",
    reference: ReferenceDatabase | str | Path | None = None,
) -> Method:
    """How ``model`` predicts: as asked for, or what it can.

    "auto" is retrieval where a reference is given or the model has its own, because retrieval has
    evidence; else the decoder where there is one.

    Raises
    ------
    InputError
        For a method that the model cannot do, or a reference that it would not look at.
    """
    if method not in ("auto", "retrieval", "decoder"):
        raise InputError("Unknown method", got=method, expected="auto, retrieval or decoder")
    decodes = model.config.decoder is not None
    if method == "auto":
        # A reference that was given is asked for, also where it turns out not to fit.
        retrieves = model.config.aligned and model.reference is not None
        method = "decoder" if decodes and reference is None and not retrieves else "retrieval"
    if method == "retrieval":
        check_aligned(model)
        return method
    if not decodes:
        raise InputError(
            f"The model {model.name} has no decoder",
            expected="a model that was trained with a reconstruction (rec.weight above 0)",
            fix="Predict by retrieval from a reference",
        )
    if reference is not None:
        raise InputError(
            "A decoder predicts from the image alone and looks at no reference",
            fix="Leave the reference out, or predict by retrieval",
        )
    return method


def choose_reference(
    model: Model, reference: ReferenceDatabase | str | Path | None, slide: Slide
) -> ReferenceDatabase:
    """The reference to compare with; the model's own where none is given.

    Warns where the slide itself is among the references: its prediction is then no test of the
    model.

    Raises
    ------
    InputError
        Where there is none, or it was made with another model: its embeddings would look right and
        mean nothing.
    """
    if isinstance(reference, (str, Path)):
        reference = ReferenceDatabase.open(reference)
    chosen = model.reference if reference is None else reference
    if chosen is None:
        raise InputError(
            f"The model {model.name} has no reference spots, so it cannot predict",
            expected=f"the folder {model.path / 'reference'}, or another reference",
            fix="Build one from measured slides: umpire-train reference",
        )
    if chosen.info.model_digest != model.digest:
        raise InputError(
            f"The reference {chosen.path} was made with another model than {model.name}",
            got=f"model {chosen.info.model_digest[:16]}",
            expected=f"model {model.digest[:16]}",
            fix="Build the reference again with this model: umpire-train reference",
        )
    if any(known.digest == slide.digest for known in chosen.info.slides):
        warnings.warn(
            f"Slide {slide.name} is itself among the references, so its prediction rests on its "
            "own measured spots.",
            UmpireWarning,
            stacklevel=2,
        )
    return chosen


def make_record(
    model: Model,
    slide: Slide,
    batch_size: int,
    *,
    reference: ReferenceDatabase | None = None,
    k: int = 50,
    weighting: Weighting = "softmax",
) -> RunRecord:
    """The record from which ``umpire-train predict --config`` makes this prediction again.

    Parameters
    ----------
    reference
        What was compared with; None for a decoder's prediction, where K and weights say nothing.
    """
    from napari_umpire.inference.model_path import is_hub_name
    from napari_umpire.slides.open import sniff

    kind = None if slide.path is None else sniff(slide.path)
    # A store may hold several slides, as does a collection, and an image file or a folder may.
    collection = kind == "st" and slide.path is not None and slide.path.is_dir()
    several = kind == "spatialdata" or collection or slide.scene is not None
    region = slide.region if several else None
    hub = is_hub_name(model.source)
    own = reference is None or reference.path.resolve() == (model.path / "reference").resolve()
    scale = None if reference is None else repr(float(model.module.scale.detach()))
    return RunRecord(
        slide=slide.name if slide.path is None else str(slide.path),
        model=model.source if hub else str(model.path.absolute()),  # read from any folder
        method="decoder" if reference is None else "retrieval",
        reference=None if own or reference is None else str(reference.path.absolute()),
        k=k,
        weighting=weighting,
        mpp=slide.mpp,
        region=region,
        device=str(model.device),
        batch_size=batch_size,
        provenance=provenance(
            model_digest=model.digest,
            reference_digest=None if reference is None else reference.digest,
            slide_digest=slide.digest,
            mpp_source=slide.scale.source,
            precision="bfloat16" if model.bf16 else "float32",
            softmax_scale=scale,
        ),
    )
