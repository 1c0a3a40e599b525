"""What a prediction needs settled before it starts, and its record."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.inference.predictions.record import RunRecord, provenance
from napari_umpire.inference.predictions.weights import check_weighting
from napari_umpire.inference.references.database import ReferenceDatabase

if TYPE_CHECKING:
    from napari_umpire.inference.model import Model
    from napari_umpire.inference.predictions.weights import Weighting
    from napari_umpire.slides.slide import Slide

__all__ = ["check_options", "check_slide", "choose_reference", "make_record"]


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
    reference: ReferenceDatabase,
    k: int,
    weighting: Weighting,
    batch_size: int,
) -> RunRecord:
    """The record from which ``umpire-train predict --config`` makes this prediction again."""
    from napari_umpire.inference.model_path import is_hub_name
    from napari_umpire.slides.open import sniff

    region, kind = None, None if slide.path is None else sniff(slide.path)
    if kind == "spatialdata":
        region = slide.region  # a store may hold several slides
    elif kind == "st" and slide.path is not None and slide.path.is_dir():
        region = slide.name  # and so does a collection
    hub = is_hub_name(model.source)
    own = reference.path.resolve() == (model.path / "reference").resolve()
    return RunRecord(
        slide=slide.name if slide.path is None else str(slide.path),
        model=model.source if hub else str(model.path.absolute()),  # read from any folder
        reference=None if own else str(reference.path.absolute()),
        k=k,
        weighting=weighting,
        mpp=slide.mpp,
        region=region,
        device=str(model.device),
        batch_size=batch_size,
        provenance=provenance(
            model_digest=model.digest,
            reference_digest=reference.digest,
            slide_digest=slide.digest,
            mpp_source=slide.scale.source,
            precision="bfloat16" if model.bf16 else "float32",
            softmax_scale=repr(float(model.module.scale.detach())),
        ),
    )
