"""A probe on embeddings, kept in a model folder as the Classes widget keeps its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_umpire.errors import InputError
from umpire_training.console import follow
from umpire_training.corpus.sources import SlideSource

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_umpire.inference.model import Model
    from umpire_training.corpus.labelled import LabelledSection

__all__ = ["save_for_widget"]


def save_for_widget(
    model: Model,
    sections: Sequence[LabelledSection],
    name: str,
    kind: Literal["image", "genes"],
    *,
    leave_out: Sequence[str],
    batch_size: int,
    balanced: bool,
    c: float,
    n_folds: int,
    seed: int,
) -> Path:
    """Test and train the widget's probe on the labelled spots, and write probes/<name>.

    It reads embeddings, as all that the window shows does, and is a logistic regression.

    Raises
    ------
    InputError
        A section without an image.
    """
    from napari_umpire.inference.classes.labelled import LabelledSlide, gather
    from napari_umpire.inference.classes.labels import SpotLabels, class_colours
    from napari_umpire.inference.classes.probe import ProbeOptions
    from napari_umpire.inference.classes.probe_check import train_probe
    from napari_umpire.inference.classes.probe_file import save_probe

    classes = sorted({str(c) for s in sections for c in s.labels} - set(leave_out))
    slides = []
    for section in sections:
        if not isinstance(section.source, SlideSource):
            raise InputError(
                f"Section {section.name} has no image, which the Classes widget needs",
                fix="Name it with --slides, or leave out --save",
            )
        slide = section.source.slide
        embed = model.embed_images if kind == "image" else model.embed_genes
        embeddings = follow(embed(slide, batch_size=batch_size))
        codes = np.full(slide.n_spots, -1, np.int64)
        named = section.labels.astype(str)
        known = np.isin(named, classes)
        codes[section.rows[known]] = np.searchsorted(np.array(classes), named[known])
        labels = SpotLabels(name, codes, tuple(classes), class_colours(len(classes)))
        slides.append(LabelledSlide.of(slide, labels, embeddings, model.digest, section.name))
    options = ProbeOptions(c=c, balanced=balanced, n_folds=n_folds, seed=seed)
    probe = follow(train_probe(gather(slides, kind), name, options))
    return save_probe(probe, model.path, name)
