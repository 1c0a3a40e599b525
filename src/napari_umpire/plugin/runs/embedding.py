"""Embeddings of several slides by one model: those at hand, the others computed. No Qt here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_umpire.errors import InputError
from napari_umpire.plugin.runs.predict import model_steps
from napari_umpire.progress import Progress, Steps

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np

    from napari_umpire.inference.model import Model
    from napari_umpire.plugin.session.session import Session
    from napari_umpire.plugin.session.slide_state import EmbeddingKind, SlideState
    from napari_umpire.slides.slide import Slide

__all__ = ["EmbedRequest", "Embedded", "embed_steps", "keep", "request"]


@dataclass(frozen=True)
class EmbedRequest:
    """What a run must know; made in the GUI thread, so that the run needs no session.

    Attributes
    ----------
    slides
        By name.
    known
        Name -> digest of the model -> (n_spots, dim) embeddings at hand.
    model
        Path or hub name; "" takes what is at hand.
    loaded
        The model of the session, if any.
    """

    kind: EmbeddingKind
    slides: dict[str, Slide]
    known: dict[str, dict[str, np.ndarray]]
    model: str
    loaded: Model | None = None
    device: str = "auto"
    batch_size: int = 64
    cache: Path | None = None


@dataclass(frozen=True)
class Embedded:
    """Embeddings of all slides by one model.

    Attributes
    ----------
    by_name
        (n_spots, dim) float32 of each slide.
    slides
        What each was computed of: a slide may be replaced meanwhile.
    fresh
        Names of the slides that had none.
    model
        None where all embeddings were at hand.
    """

    kind: EmbeddingKind
    by_name: dict[str, np.ndarray]
    digest: str
    slides: dict[str, Slide]
    fresh: tuple[str, ...] = ()
    model: Model | None = field(default=None, repr=False)


def request(
    session: Session,
    names: Sequence[str],
    kind: EmbeddingKind,
    *,
    device: str = "auto",
    batch_size: int = 64,
    cache: Path | None = None,
) -> EmbedRequest:
    """What is known of the slides of a session."""
    states = [session.slides[name] for name in names]
    return EmbedRequest(
        kind,
        {s.name: s.slide for s in states},
        {s.name: _known(s, kind) for s in states},
        session.model_path,
        session.model,
        device,
        batch_size,
        cache,
    )


def _known(state: SlideState, kind: EmbeddingKind) -> dict[str, np.ndarray]:
    known: dict[str, np.ndarray] = {}
    prediction = state.prediction
    if kind == "image" and prediction is not None and prediction.embeddings is not None:
        digest = prediction.record.provenance.get("model_digest")
        if digest:
            known[str(digest)] = prediction.embeddings
    if kind in state.embeddings:
        embeddings, digest = state.embeddings[kind]
        known[digest] = embeddings
    return known


def embed_steps(asked: EmbedRequest) -> Steps[Embedded]:
    """Embeddings of all slides by the model that was chosen.

    It is loaded only where a slide lacks embeddings of it.

    Raises
    ------
    InputError
        Without slide; without model where one is needed; as `Model.embed_images`, `embed_genes`.
    """
    if not asked.slides:
        raise InputError("No slide is chosen", fix="Open a slide, and tick it")
    digest = yield from _digest(asked)
    if digest is not None and all(digest in known for known in asked.known.values()):
        by_name = {name: known[digest] for name, known in asked.known.items()}
        return Embedded(asked.kind, by_name, digest, asked.slides)
    if not asked.model:
        raise InputError(
            f"There are no embeddings of {', '.join(asked.slides)} yet",
            expected="a model that can make them",
            fix="Choose a model",
        )
    from napari_umpire.inference.cache import FeatureCache

    for slide in asked.slides.values():
        _check(slide, asked.kind)  # before minutes of work on another slide
    model = yield from model_steps(asked.model, asked.device, asked.loaded)
    cache = None if asked.cache is None else FeatureCache(asked.cache)
    found: dict[str, np.ndarray] = {}
    fresh = []
    for name, slide in asked.slides.items():
        if model.digest in asked.known[name]:
            found[name] = asked.known[name][model.digest]
            continue
        embed = model.embed_images if asked.kind == "image" else model.embed_genes
        found[name] = yield from embed(slide, batch_size=asked.batch_size, cache=cache)
        fresh.append(name)
    return Embedded(asked.kind, found, model.digest, asked.slides, tuple(fresh), model)


def keep(session: Session, done: Embedded) -> None:
    """Put what a run brought into the session, of slides that are still what they were."""
    if done.model is not None and session.model_path in ("", done.model.source):
        session.set_model(done.model)
    for name in done.fresh:
        state = session.slides.get(name)
        if state is not None and state.slide is done.slides[name]:
            session.set_embeddings(name, done.kind, done.by_name[name], done.digest)


def _digest(asked: EmbedRequest) -> Steps[str | None]:
    """Of the model that the embeddings shall be of, None where it must be loaded anyway."""
    first, *others = [set(known) for known in asked.known.values()]
    common = first.intersection(*others)
    if not common:
        return None
    if not asked.model:
        return sorted(common)[0]
    if asked.loaded is not None and asked.loaded.source == asked.model:
        return asked.loaded.digest
    from napari_umpire.inference.model_path import model_folder
    from napari_umpire.models.folder import model_digest

    yield Progress("Looking at the model", 0, 0, "")
    return model_digest(model_folder(asked.model))


def _check(slide: Slide, kind: EmbeddingKind) -> None:
    from napari_umpire.inference.run import check_slide

    check_slide(slide)
    if kind == "genes" and not slide.has_counts:
        raise InputError(
            f"Slide {slide.name} has no gene counts",
            expected="a slide with a measured count table",
            fix="Choose embeddings of the image",
        )
