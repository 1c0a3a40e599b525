"""Labels of spots, and what a row's encoders say of them before and after the projection."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_umpire.errors import InputError
from umpire_training.console import follow
from umpire_training.stages.same_start import digest_parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_umpire.inference.classes.labels import SpotLabels
    from napari_umpire.inference.model import Model
    from napari_umpire.slides.slide import Slide
    from umpire_training.benchmark.methods import Method
    from umpire_training.benchmark.sections import Measured
    from umpire_training.corpus.sources import SlideSource
    from umpire_training.verbs.benchmark import Options

__all__ = ["Labels", "by_space", "space_file", "spaces_of"]

_BATCH = 64


@dataclass(frozen=True)
class Labels:
    """The labels of all slides, with one list of classes.

    Attributes
    ----------
    classes
        Names, in alphabetical order.
    codes
        Slide -> (n_spots,) place in ``classes``, -1 for none.
    colours
        "#rrggbb" of each class.
    """

    classes: tuple[str, ...]
    codes: dict[str, np.ndarray]
    colours: tuple[str, ...]

    @classmethod
    def read(cls, options: Options, slides: list[Slide]) -> Labels:
        """Read the table of each slide in the folder ``options.labels``.

        Raises
        ------
        InputError
            Without a folder, or where a slide has no table in it.
        """
        from napari_umpire.inference.classes.label_file import labels_of_file
        from napari_umpire.inference.classes.labels import class_colours
        from umpire_training.corpus.labelled import label_place

        if options.labels is None:
            raise InputError(
                f"{options.table} needs labels of spots",
                expected="a folder of tables, each named after its slide",
                fix="Give it with --labels",
            )
        found: dict[str, SpotLabels] = {}
        for slide in slides:
            path = label_place(Path(options.labels), slide.name)
            found[slide.name] = labels_of_file(slide, path, options.label_column).labels
        classes = tuple(sorted({c for labels in found.values() for c in labels.categories}))
        codes = {}
        for name, labels in found.items():
            place = np.array([*(classes.index(c) for c in labels.categories), -1])
            codes[name] = place[labels.codes]
        return cls(classes, codes, class_colours(len(classes)))

    @property
    def digest(self) -> str:
        """64 hex digits, others where a spot of any slide has another label."""
        parts = [part for n, codes in self.codes.items() for part in (n, codes.tobytes())]
        return digest_parts(*self.classes, *parts)

    def of_spots(self, measured: list[Measured], slides: list[SlideSource]) -> Labels:
        """The labels of the spots that passed quality control, in their order."""
        codes = {}
        for source, good in zip(slides, measured, strict=True):
            every = pd.Series(self.codes[source.name], index=source.slide.spots.index)
            codes[good.name] = every.reindex(good.source.slide.spots.index).to_numpy()
        return replace(self, codes=codes)

    def heading(self, title: str, command: str, n_sections: int, protocol: str) -> list[str]:
        """Title, command and protocol of a table of what is scored by label."""
        n = sum((codes >= 0).sum() for codes in self.codes.values())
        return [
            f"# {title}",
            "",
            f"`{command}`",
            "",
            (
                f"{n_sections} held-out sections, {n:,} labelled spots, {len(self.classes)} "
                f"classes: {', '.join(self.classes)}. {protocol}"
            ),
            "",
        ]


def spaces_of(model: Model, slide: Slide) -> dict[str, np.ndarray]:
    """Name -> (n_spots, dim): features before the projection, embeddings after it.

    A model that was trained by reconstruction alone has image features only.
    """
    import torch

    from napari_umpire.inference.embed_slide import (
        gene_features,
        image_features,
        in_context,
        in_parts,
    )
    from napari_umpire.inference.genes.input import MeasuredGenes

    image = in_context(model, slide, follow(image_features(model, slide, _BATCH, None)))
    found = {"image features": image.numpy()}
    if not model.config.aligned:
        return found
    measured = MeasuredGenes.of(slide, model.vocabulary)
    genes = torch.from_numpy(follow(gene_features(model, slide, measured, _BATCH, None)))
    found["image embedding"] = in_parts(model, model.module.project_image, image)
    found["gene features"] = genes.numpy()
    found["gene embedding"] = in_parts(model, model.module.project_gene, genes)
    return found


def space_file(folder: Path, slide: str, space: str) -> Path:
    """Where the training of a row keeps a space of a held-out slide, (n_spots, dim) float32."""
    from umpire_training.benchmark.places import place_name

    return folder / f"space-{place_name(slide)}-{space.replace(' ', '-')}.npy"


def by_space(results: list[dict[str, Any]], methods: Sequence[Method]) -> pd.DataFrame:
    """Scores that were measured of each space: a row per method, seed, space and held-out slide."""
    lines = [
        {"row": method.name, "seed": one["seed"], "space": space, "slide": r["slide"], **scores}
        for r in results
        for method in methods
        for one in r["trained"][method.name]
        for space, scores in one["more"].get(r["slide"], {}).items()
    ]
    return pd.DataFrame(lines)
