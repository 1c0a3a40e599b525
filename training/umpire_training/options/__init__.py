"""The options that several verbs share, as typed dataclasses: recipe groups of the same names."""

from __future__ import annotations

from umpire_training.options.data import (
    ChoiceOptions,
    PatchOptions,
    QcOptions,
    TokenOptions,
    VocabularyOptions,
)
from umpire_training.options.encoders import (
    AugmentOptions,
    ContextOptions,
    GeneOptions,
    MaskOptions,
    ProjectionOptions,
    VisionOptions,
    VisiumformerOptions,
)
from umpire_training.options.finetune import FinetuneSettings
from umpire_training.options.objectives import ContrastOptions, RecOptions, TargetOptions
from umpire_training.options.stages import AlignSettings, PretrainSettings
from umpire_training.options.training import OptimOptions, TrainerOptions

__all__ = [
    "AlignSettings",
    "AugmentOptions",
    "ChoiceOptions",
    "ContextOptions",
    "ContrastOptions",
    "FinetuneSettings",
    "GeneOptions",
    "MaskOptions",
    "OptimOptions",
    "PatchOptions",
    "PretrainSettings",
    "ProjectionOptions",
    "QcOptions",
    "RecOptions",
    "TargetOptions",
    "TokenOptions",
    "TrainerOptions",
    "VisionOptions",
    "VisiumformerOptions",
    "VocabularyOptions",
]
