"""Labelled spots of one or more slides, brought together to learn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_umpire.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_umpire.inference.classes.labels import SpotLabels
    from napari_umpire.slides.slide import Slide

__all__ = ["MIN_PER_CLASS", "LabelledSlide", "LabelledSpots", "check_labels", "gather"]

MIN_PER_CLASS = 5
"""A class with fewer labelled spots is not learned."""


@dataclass(frozen=True, eq=False)
class LabelledSlide:
    """One slide to learn from.

    Attributes
    ----------
    name
        Of the slide, unique among those learned from together.
    digest
        Of the slide.
    labels
        Classes of its spots.
    embeddings
        (n_spots, dim) float32.
    model_digest
        Of the model that made the embeddings.
    yx_um
        (n_spots, 2) centres, um.
    pitch_um
        Distance of neighbouring spots, um.
    """

    name: str
    digest: str
    labels: SpotLabels
    embeddings: np.ndarray
    model_digest: str
    yx_um: np.ndarray
    pitch_um: float

    @classmethod
    def of(
        cls,
        slide: Slide,
        labels: SpotLabels,
        embeddings: np.ndarray,
        model_digest: str,
        name: str | None = None,
    ) -> LabelledSlide:
        """A slide with a known scale, its classes and its embeddings."""
        return cls(
            name or slide.name,
            slide.digest,
            labels,
            embeddings,
            model_digest,
            slide.yx * slide.mpp,
            slide.pitch_um,
        )


@dataclass(frozen=True, eq=False)
class LabelledSpots:
    """The labelled spots of all slides, one row each.

    Attributes
    ----------
    kind
        What was embedded.
    embeddings
        (n, dim) float64.
    codes
        (n,) int64, place in ``classes``.
    slide
        (n,) int64, place in ``slide_names``.
    yx_um
        (n, 2) centres on their slide, um.
    classes, colours
        Those that are learned, and "#rrggbb" of each.
    slide_digests
        Of the slides, as ``slide_names``.
    pitch_um
        Distance of neighbouring spots: the largest of the slides.
    notes
        What was left out, in sentences.
    """

    kind: Literal["image", "genes"]
    model_digest: str
    embeddings: np.ndarray
    codes: np.ndarray
    slide: np.ndarray
    yx_um: np.ndarray
    classes: tuple[str, ...]
    colours: tuple[str, ...]
    slide_names: tuple[str, ...]
    slide_digests: tuple[str, ...]
    pitch_um: float
    notes: tuple[str, ...] = ()

    @property
    def counts(self) -> np.ndarray:
        """Labelled spots, (n_slides, n_classes) int64."""
        table = np.zeros((len(self.slide_names), len(self.classes)), np.int64)
        np.add.at(table, (self.slide, self.codes), 1)
        return table


def gather(slides: Sequence[LabelledSlide], kind: Literal["image", "genes"]) -> LabelledSpots:
    """Bring labelled slides together; classes of one name are one class.

    Spots without a class, and classes with fewer than `MIN_PER_CLASS` spots, are left out.

    Raises
    ------
    InputError
        Without a labelled spot; with a single class, or a single one with enough spots; with
        embeddings of different models, or that are not finite.
    """
    _check_embeddings(slides)
    names = check_labels({s.name: s.labels for s in slides})
    colour: dict[str, str] = {}
    for s in slides:
        for name, value in zip(s.labels.categories, s.labels.colours, strict=True):
            colour.setdefault(name, value)
    codes, rows, place = [], [], {name: i for i, name in enumerate(names)}
    for s in slides:
        to_all = np.array([*(place.get(c, -1) for c in s.labels.categories), -1], np.int64)
        mine = to_all[s.labels.codes]
        rows.append(np.flatnonzero(mine >= 0))
        codes.append(mine[rows[-1]])
    slide = np.repeat(np.arange(len(slides)), [len(r) for r in rows])
    every = np.concatenate(codes)
    counts = np.bincount(every, minlength=len(names))
    notes = [
        f"The class {names[i]!r} has {counts[i]} spots, fewer than {MIN_PER_CLASS}, and is left "
        "out."
        for i in np.flatnonzero(counts < MIN_PER_CLASS)
    ]
    kept = np.flatnonzero(counts >= MIN_PER_CLASS)
    new = np.full(len(names), -1)
    new[kept] = np.arange(len(kept))
    keep = new[every] >= 0
    embeddings = np.concatenate(
        [s.embeddings[r].astype(np.float64) for s, r in zip(slides, rows, strict=True)]
    )
    return LabelledSpots(
        kind=kind,
        model_digest=slides[0].model_digest,
        embeddings=embeddings[keep],
        codes=new[every][keep],
        slide=slide[keep],
        yx_um=np.concatenate([s.yx_um[r] for s, r in zip(slides, rows, strict=True)])[keep],
        classes=tuple(names[i] for i in kept),
        colours=tuple(colour[names[i]] for i in kept),
        slide_names=tuple(s.name for s in slides),
        slide_digests=tuple(s.digest for s in slides),
        pitch_um=max(s.pitch_um for s in slides),
        notes=tuple(notes),
    )


def check_labels(labels: Mapping[str, SpotLabels]) -> list[str]:
    """Names of all classes that have spots, in the order of the slides.

    Raises
    ------
    InputError
        Where nothing can be learned from these labels: as `gather`.
    """
    counts: dict[str, int] = {}
    for one in labels.values():
        for name, n in zip(one.categories, one.counts.tolist(), strict=True):
            if n:
                counts[name] = counts.get(name, 0) + n
    if not counts:
        none = (f"{name}: {len(one.codes):,} spots without a class" for name, one in labels.items())
        raise InputError(
            "No spot has a class",
            got=", ".join(none) or "no slide",
            expected="spots of at least two classes",
            fix="Choose a column or a file that labels spots, or draw or paint classes",
        )
    if len(counts) == 1:
        raise InputError(
            f"All labelled spots are of one class, {next(iter(counts))!r}",
            expected="at least two classes to tell apart",
            fix="Label spots of another class too",
        )
    if sum(n >= MIN_PER_CLASS for n in counts.values()) < 2:
        raise InputError(
            "There are too few labelled spots to learn from",
            got=", ".join(f"{name} {n}" for name, n in counts.items()),
            expected=f"at least {MIN_PER_CLASS} spots in each of two classes",
            fix="Label more spots",
        )
    return list(counts)


def _check_embeddings(slides: Sequence[LabelledSlide]) -> None:
    digests = {s.model_digest: s.name for s in slides}
    if len(digests) > 1:
        said = ", ".join(f"{name}: {digest[:16]}" for digest, name in digests.items())
        raise InputError(
            "The slides' embeddings are of different models",
            got=said,
            expected="embeddings of one model, which alone can be compared",
            fix="Compute the embeddings of all slides with the same model",
        )
    for s in slides:
        bad = ~np.isfinite(s.embeddings).all(axis=1)
        if bad.any():
            raise InputError(
                f"{int(bad.sum()):,} embeddings of {s.name} are not finite",
                fix="Compute them again",
            )
