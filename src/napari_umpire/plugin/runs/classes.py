"""Training, keeping and applying a probe, as the Classes widget runs them. No Qt here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_umpire.errors import InputError
from napari_umpire.plugin.runs.embedding import Embedded, EmbedRequest, embed_steps
from napari_umpire.progress import Progress, Steps

if TYPE_CHECKING:
    from napari_umpire.inference.classes.labelled import LabelledSpots
    from napari_umpire.inference.classes.labels import SpotLabels
    from napari_umpire.inference.classes.probe import LinearProbe, ProbeOptions
    from napari_umpire.plugin.session.session import Session

__all__ = ["Applied", "Saved", "apply_steps", "local_folder", "save_steps", "train_steps"]


@dataclass(frozen=True)
class Applied:
    """A probe and the classes it gave to slides, by name."""

    probe: LinearProbe
    classes: dict[str, SpotLabels]
    embedded: Embedded


@dataclass(frozen=True)
class Saved:
    """Where a probe was written."""

    folder: Path


def local_folder(session: Session) -> Path | None:
    """The folder of the session's model, None where it is not at hand."""
    if session.model is not None and session.model.source == session.model_path:
        return session.model.path
    if not session.model_path:
        return None
    folder = Path(session.model_path).expanduser()
    return folder if folder.is_dir() else None


def train_steps(
    asked: EmbedRequest,
    labels: dict[str, SpotLabels],
    name: str,
    options: ProbeOptions,
    folder: Path | None = None,
) -> Steps[Applied]:
    """Embed the slides where needed, test and train a probe, and give all their spots a class.

    Parameters
    ----------
    labels
        Of each slide that is asked for.
    name
        Of the probe: what the labels are about.
    folder
        Of the model, to say which of the slides it knows already.

    Raises
    ------
    InputError
        As `embed_steps` and `labelled.gather`.
    """
    from napari_umpire.inference.classes.labelled import LabelledSlide, check_labels, gather
    from napari_umpire.inference.classes.probe_check import train_probe

    check_labels(labels)  # before minutes of work
    done = yield from embed_steps(asked)
    slides = [
        LabelledSlide.of(slide, labels[key], done.by_name[key], done.digest, key)
        for key, slide in asked.slides.items()
    ]
    yield Progress("Bringing the labelled spots together", 0, 0, "")
    data = gather(slides, asked.kind)
    data = replace(data, notes=(*data.notes, *_known_slides(data, folder)))
    probe = yield from train_probe(data, name, options)
    return Applied(probe, _apply(probe, done), done)


def apply_steps(asked: EmbedRequest, probe: LinearProbe | Path) -> Steps[Applied]:
    """Give the spots of slides a class by a probe, or by one that was saved.

    Raises
    ------
    InputError
        For a probe of another model or embedding; as `embed_steps`.
    """
    from napari_umpire.inference.classes.probe_file import load_probe

    if isinstance(probe, Path):
        yield Progress("Reading the probe", 0, 0, "")
        probe = load_probe(probe)
    if asked.model:
        from napari_umpire.inference.model_path import model_folder
        from napari_umpire.models.folder import model_digest

        yield Progress("Looking at the model", 0, 0, "")
        # Before the slide is embedded, which may take minutes.
        probe.check(asked.kind, model_digest(model_folder(asked.model)))
    done = yield from embed_steps(asked)
    return Applied(probe, _apply(probe, done), done)


def save_steps(probe: LinearProbe, folder: Path | None, name: str) -> Steps[Saved]:
    """Write a probe into the folder of its model."""
    from napari_umpire.inference.classes.probe_file import save_probe

    if folder is None:
        raise InputError(
            "There is no model folder to save the probe in",
            expected="the folder of the model that made the embeddings",
            fix="Choose the model",
        )
    yield Progress("Saving the probe", 0, 0, "")
    return Saved(save_probe(probe, folder, name))


def _known_slides(data: LabelledSpots, folder: Path | None) -> tuple[str, ...]:
    """A sentence where slides of the model's own reference are tested on: it learned from them."""
    from napari_umpire.inference.references.format import read_info

    if folder is None or not (folder / "reference").is_dir():
        return ()
    info = read_info(folder / "reference")
    if info.model_digest != data.model_digest:
        return ()
    digests = {slide.digest for slide in info.slides}
    known = [
        name
        for name, digest in zip(data.slide_names, data.slide_digests, strict=True)
        if digest in digests
    ]
    if not known:
        return ()
    said = f"The model has {', '.join(known)} in its reference, and was most likely trained on it: "
    return (f"{said}held out from the probe, that is not new to the model.",)


def _apply(probe: LinearProbe, done: Embedded) -> dict[str, SpotLabels]:
    return {
        name: probe.apply(embeddings, done.kind, done.digest)
        for name, embeddings in done.by_name.items()
    }
