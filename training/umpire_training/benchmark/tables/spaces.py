"""Labels of spots, and what a row's encoders say of them before and after the projection."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_umpire.errors import InputError
from umpire_training.console import follow

if TYPE_CHECKING:
    from napari_umpire.inference.cache import FeatureCache
    from napari_umpire.inference.classes.labels import SpotLabels
    from napari_umpire.inference.model import Model
    from napari_umpire.slides.slide import Slide
    from umpire_training.benchmark.sections import Measured
    from umpire_training.corpus.sources import SlideSource
    from umpire_training.verbs.benchmark import Options

__all__ = ["Labels", "spaces_of"]


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

    def of_spots(self, measured: list[Measured], slides: list[SlideSource]) -> Labels:
        """The labels of the spots that passed quality control, in their order."""
        codes = {}
        for source, good in zip(slides, measured, strict=True):
            every = pd.Series(self.codes[source.name], index=source.slide.spots.index)
            codes[good.name] = every.reindex(good.source.slide.spots.index).to_numpy()
        return replace(self, codes=codes)


def spaces_of(model: Model, slide: Slide, cache: FeatureCache | None) -> dict[str, np.ndarray]:
    """Name -> (n_spots, dim): features before the projection, embeddings after it.

    A model that was trained by reconstruction alone has image features only.
    """
    from napari_umpire.inference.embed_slide import image_features, in_context

    features = follow(image_features(model, slide, 64, cache))
    found = {"image features": in_context(model, slide, features).numpy()}
    if not model.config.aligned:
        return found
    found["image embedding"] = follow(model.embed_images(slide, cache=cache))
    found["gene features"] = _gene_features(model, slide)
    found["gene embedding"] = follow(model.embed_genes(slide))
    return found


def _gene_features(model: Model, slide: Slide) -> np.ndarray:
    import torch

    from napari_umpire.inference.genes.input import MeasuredGenes

    means = model.module.spot_backbone.state_dict().get("mean")
    fill = None if means is None else means.float().cpu().numpy()
    inputs = MeasuredGenes.of(slide, model.vocabulary).inputs(model.config, fill)
    parts = []
    with torch.inference_mode():
        for start in range(0, slide.n_spots, 64):
            rows = np.arange(start, min(start + 64, slide.n_spots))
            batch = torch.from_numpy(np.ascontiguousarray(inputs.rows(rows))).to(model.device)
            parts.append(model.module.encode_gene(batch).float().cpu().numpy())
    return np.concatenate(parts)
