"""What numbers an option takes: one table for all groups, and the check of a nest of them.

What depends on the data or on the computer is checked where that is known.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_umpire.errors import InputError
from umpire_training.options.data import PatchOptions, QcOptions, TokenOptions, VocabularyOptions
from umpire_training.options.encoders import (
    AugmentOptions,
    GeneOptions,
    MaskOptions,
    ProjectionOptions,
    VisiumformerOptions,
)
from umpire_training.options.evaluation import EvaluationSettings, MethodSettings
from umpire_training.options.finetune import FinetuneSettings
from umpire_training.options.mil import AdamOptions, HeadOptions, TileOptions, ValidationOptions
from umpire_training.options.objectives import ContrastOptions, RecOptions, TargetOptions
from umpire_training.options.probe import FitOptions, ProbeControls, ProbeSplit
from umpire_training.options.stages import AlignSettings
from umpire_training.options.training import OptimOptions, TrainerOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["check_ranges"]


@dataclass(frozen=True)
class _Range:
    """Numbers from ``low`` to ``high``; an open end is not among them."""

    low: float
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False

    def holds(self, value: float) -> bool:
        above = value > self.low if self.open_low else value >= self.low
        below = value < self.high if self.open_high else value <= self.high
        return above and below and math.isfinite(value)

    def __str__(self) -> str:
        if self.high == math.inf:
            return f"{'above' if self.open_low else 'at least'} {self.low:g}"
        low = f"above {self.low:g}" if self.open_low else f"at least {self.low:g}"
        return f"{low} and {'below' if self.open_high else 'at most'} {self.high:.10g}"


_COUNT, _NONE_OR_MORE, _POSITIVE = _Range(1), _Range(0), _Range(0, open_low=True)
_DROPOUT = _Range(0, 1, open_high=True)
# numpy's and Lightning's generators take no other.
_SEED = _Range(0, 2**32 - 1)
# Twice the widest patch that any published encoder sees; a slide's patches must fit a disk.
_PATCH_PX = _Range(1, 4096)

_EVERYWHERE = {"seed": _SEED, "batch_size": _COUNT, "shard_spots": _COUNT, "workers": _COUNT}
_OF_GROUP: Mapping[type, Mapping[str, _Range]] = {
    AdamOptions: {"lr": _POSITIVE, "weight_decay": _NONE_OR_MORE, "clip_norm": _POSITIVE},
    AlignSettings: {"dim": _COUNT, "temperature": _POSITIVE, "input_noise": _NONE_OR_MORE},
    # Beyond 1 a stain would turn into its opposite.
    AugmentOptions: {"stain": _Range(0, 1)},
    ContrastOptions: {"weight": _NONE_OR_MORE, "margin": _POSITIVE, "chunk": _COUNT},
    FinetuneSettings: {"input_noise": _NONE_OR_MORE},
    FitOptions: {
        "lr": _POSITIVE, "epochs": _COUNT, "patience": _COUNT, "val_fraction": _DROPOUT,
        "c": _POSITIVE,
    },
    GeneOptions: {
        "panel_genes": _COUNT, "hidden": _COUNT, "features": _COUNT, "dropout": _DROPOUT,
    },
    EvaluationSettings: {"n_genes": _COUNT, "permutations": _NONE_OR_MORE, "mpp": _POSITIVE},
    HeadOptions: {"hidden": _NONE_OR_MORE, "attention": _COUNT, "dropout": _DROPOUT},
    MaskOptions: {"probability": _Range(0, 1, open_low=True)},
    MethodSettings: {"k": _COUNT},
    OptimOptions: {
        "lr": _POSITIVE, "min_lr": _NONE_OR_MORE, "weight_decay": _NONE_OR_MORE,
        "warmup_steps": _NONE_OR_MORE, "clip_norm": _POSITIVE,
    },
    PatchOptions: {"field_um": _POSITIVE, "size_px": _PATCH_PX, "max_upsampling": _COUNT},
    ProbeControls: {
        "expression_genes": _NONE_OR_MORE, "mlp_genes": _NONE_OR_MORE, "mlp_hidden": _COUNT,
        "mlp_features": _COUNT, "mlp_dropout": _DROPOUT, "permutations": _NONE_OR_MORE,
    },
    ProbeSplit: {"folds": _Range(2)},
    ProjectionOptions: {"hidden": _NONE_OR_MORE, "dropout": _DROPOUT},
    QcOptions: {"min_genes": _NONE_OR_MORE, "min_counts": _NONE_OR_MORE},
    RecOptions: {"weight": _NONE_OR_MORE, "genes": _COUNT, "hidden": _NONE_OR_MORE},
    TargetOptions: {"scale": _POSITIVE, "genes": _COUNT, "components": _COUNT},
    TileOptions: {"field_um": _POSITIVE, "pitch_um": _POSITIVE},
    TokenOptions: {"length": _COUNT},
    TrainerOptions: {
        "max_steps": _COUNT, "epochs": _COUNT, "accumulate": _COUNT, "round_steps": _COUNT,
        "val_fraction": _DROPOUT, "patience": _COUNT, "num_nodes": _COUNT,
        "devices": _COUNT,
        "workers": _NONE_OR_MORE, "log_every": _COUNT,
    },
    ValidationOptions: {
        "folds": _Range(2), "permutations": _NONE_OR_MORE, "permuted_epochs": _COUNT,
    },
    VisiumformerOptions: {
        "dim": _COUNT, "heads": _COUNT, "feedforward": _COUNT, "layers": _COUNT,
        "dropout": _DROPOUT,
    },
    VocabularyOptions: {"min_spots": _COUNT, "max_genes": _COUNT},
}  # fmt: skip


def check_ranges(options: Any, group: str = "") -> None:
    """Refuse a number that no data could make right, in ``options`` and all groups inside.

    Parameters
    ----------
    options
        A dataclass of options. Each number of a list is looked at; None and words, such as "auto"
        for a number of devices, are left to whom they mean something.
    group
        Where the options are, as they are given on the command line; "" at the top.

    Raises
    ------
    InputError
        Naming the first such option, what it is and what it takes.
    """
    prefix = f"{group}." if group else ""
    ranges = dict(_EVERYWHERE)
    for kind in type(options).__mro__:
        ranges.update(_OF_GROUP.get(kind, {}))
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if dataclasses.is_dataclass(value):
            check_ranges(value, prefix + field.name)
        elif field.name in ranges and value is not None and not isinstance(value, str):
            _check(prefix + field.name, value, ranges[field.name])
    if isinstance(options, OptimOptions) and options.min_lr > options.lr:
        raise InputError(
            f"{prefix}min_lr must not be above {prefix}lr",
            got=f"{options.min_lr:g}",
            expected=f"at most {options.lr:g}",
        )


def _check(name: str, value: Any, allowed: _Range) -> None:
    for number in value if isinstance(value, list) else [value]:
        if not allowed.holds(number):
            got = f"{value:g}" if isinstance(value, float) else value
            raise InputError(f"{name} must be {allowed}", got=got)
