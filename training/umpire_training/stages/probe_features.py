"""The features that a probe is trained on: of a model, of an encoder, or of one for each fold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.errors import InputError
from umpire_training.console import follow
from umpire_training.stages.probe_encoders import Encoder, pretrain_without, without

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from napari_umpire.inference.classes.folds import Fold
    from napari_umpire.inference.model import Model
    from umpire_training.corpus.content import Content
    from umpire_training.corpus.sources import Source
    from umpire_training.options.probe import ProbeSettings
    from umpire_training.stages.probe_data import ProbeData

__all__ = ["GENES", "FixedFeatures", "FoldEncoders", "model_features"]

GENES, IMAGE, BOTH = "gene encoder", "image encoder", "gene and image encoder"


@dataclass(eq=False)
class FixedFeatures:
    """The same for every fold, computed when the first one asks.

    Attributes
    ----------
    encoder
        Of the genes; None where they are not asked for.
    image
        Image features by section, (n_spots of the section, dim); None where not asked for.
    """

    data: ProbeData
    settings: ProbeSettings
    encoder: Encoder | None
    image: list[np.ndarray] | None
    seed: int
    _made: dict[str, np.ndarray] = field(default_factory=dict)

    def __call__(self, number: int, fold: Fold) -> Mapping[str, np.ndarray]:
        """Features by name, (n, dim) each."""
        if not self._made:
            self._made = self._make()
        return self._made

    def _make(self) -> dict[str, np.ndarray]:
        wanted, found = self.settings.features, {}
        image = None if self.image is None else np.concatenate(self.image)
        genes = None if self.encoder is None else _of(self.encoder, self.data)
        for name in wanted:
            if name == "genes" and genes is not None:
                found[GENES] = genes
            elif name == "image" and image is not None:
                found[IMAGE] = image
            elif genes is not None and image is not None:
                found[BOTH] = np.concatenate([genes, image], axis=1)
        if self.settings.controls.untrained and self.encoder is not None:
            found[f"{GENES}, untrained"] = _of(self.encoder.untrained(self.seed), self.data)
        return found


@dataclass(eq=False)
class FoldEncoders:
    """A gene encoder for each fold, pre-trained without the slide or patient that it holds out.

    Attributes
    ----------
    sources
        Counts to pre-train on, whether labelled or not.
    contents, group_of
        Content, and slide or patient, of each by name.
    folder
        Where the folds' corpora and pre-training runs go.
    """

    data: ProbeData
    settings: ProbeSettings
    sources: Sequence[Source]
    contents: Mapping[str, Content]
    group_of: Mapping[str, str]
    folder: Path
    seed: int

    def check(self) -> None:
        """Refuse, before any work, what a fold would refuse: see `without`."""
        for fold in self.data.folds:
            self._sources(fold)

    def __call__(self, number: int, fold: Fold) -> Mapping[str, np.ndarray]:
        """Features by name, (n, dim) each."""
        folder = self.folder / f"{number:02d}"
        path = pretrain_without(
            self._sources(fold), self.contents, folder, self.settings, seed=self.seed
        )
        encoder = Encoder.of_run(path, self.settings.levels)
        found = {GENES: _of(encoder, self.data)}
        if self.settings.controls.untrained:
            found[f"{GENES}, untrained"] = _of(encoder.untrained(self.seed), self.data)
        return found

    def _sources(self, fold: Fold) -> list[Source]:
        held = self.data.held(fold.test)
        # A fold holds out one slide or one patient.
        return without(
            held, self.group_of_section(held[0].name), self.sources, self.contents, self.group_of
        )

    def group_of_section(self, name: str) -> str:
        """Slide or patient of a labelled section."""
        numbers = [i for i, s in enumerate(self.data.sections) if s.name == name]
        group = self.data.group[self.data.section == numbers[0]][0]
        return self.data.group_names[group]


def _of(encoder: Encoder, data: ProbeData) -> np.ndarray:
    return np.concatenate([encoder.features(section) for section in data.sections])


def model_features(
    model: Model, data: ProbeData, settings: ProbeSettings, cache: Path, batch_size: int, seed: int
) -> FixedFeatures:
    """What an aligned model's encoders make of the sections.

    Raises
    ------
    InputError
        Image features of a section without an image; gene features of a model without genes.
    """
    from napari_umpire.inference.cache import FeatureCache
    from napari_umpire.inference.embed_slide import image_features
    from napari_umpire.models.folder import LoadedModel
    from umpire_training.corpus.sources import SlideSource

    wants_genes = {"genes", "both"} & set(settings.features)
    wants_image = {"image", "both"} & set(settings.features)
    encoder = None
    if wants_genes:
        config = model.config
        loaded = LoadedModel(model.module, model.vocabulary, config, model.digest, model.path)
        encoder = Encoder.of_model(loaded)
    image = None
    if wants_image:
        bare = [s.name for s in data.sections if not isinstance(s.source, SlideSource)]
        if bare:
            raise InputError(
                f"Section {bare[0]} has no image, and image features are asked for",
                fix="Name it with --slides, with its image, or give --features genes",
            )
        kept = FeatureCache(cache)
        image = [
            follow(image_features(model, s.source.slide, batch_size, kept))[s.rows]
            for s in data.sections
            if isinstance(s.source, SlideSource)
        ]
    return FixedFeatures(data, settings, encoder, image, seed)
