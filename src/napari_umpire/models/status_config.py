"""What a slide-status head is, wants to be given, and was scored at; read without torch."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from napari_umpire.bounded import read_json
from napari_umpire.errors import InputError
from napari_umpire.models.bounds import MANY, WIDTHS, check_bounds
from napari_umpire.models.config_json import from_data, to_data

__all__ = [
    "CONFIG",
    "HEADS",
    "AbmilConfig",
    "StatusConfig",
    "StatusScores",
    "TileConfig",
    "check_name",
    "list_heads",
    "read_status",
]

HEADS, CONFIG = "slide_status", "config.json"
_FORMAT, _VERSION = "napari-umpire slide status", 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True)
class AbmilConfig:
    """Shape of `abmil.Abmil`.

    Parameters
    ----------
    dim
        Numbers per tile that come in.
    n_classes
        Classes that come out.
    hidden
        Units of a ReLU layer before the attention; 0: none, tiles are pooled as they come.
    attention
        Units of the attention, D in Ilse et al.
    dropout
        Of what is pooled, in training; 0: none.
    clip
        Bound of z-scores: a feature that hardly varied in training must not outweigh all others
        where it does; None: none, for input that is not z-scored.
    """

    dim: int
    n_classes: int
    hidden: int = 0
    attention: int = 128
    dropout: float = 0.0
    clip: float | None = None

    def __post_init__(self) -> None:
        check_bounds(
            "The slide-status head", self, dim=WIDTHS, n_classes=MANY, hidden=MANY,
            attention=WIDTHS,
        )  # fmt: skip
        if self.dim < 1 or self.attention < 1 or self.hidden < 0 or not 0 <= self.dropout < 1:
            raise InputError(
                "Impossible settings of the slide-status head",
                got=f"dim {self.dim}, hidden {self.hidden}, attention {self.attention}, "
                f"dropout {self.dropout}",
                expected="positive sizes (hidden may be 0), dropout from 0 to below 1",
            )
        if self.clip is not None and not self.clip > 0:
            raise InputError("The bound of z-scores must be positive", got=self.clip)
        if self.n_classes < 2:
            raise InputError(
                "A slide-status head needs at least two classes", got=f"{self.n_classes}"
            )


@dataclass(frozen=True)
class TileConfig:
    """Which pieces of a slide go in.

    Parameters
    ----------
    kind
        "square": a grid over the tissue, edge to edge or as ``pitch_um`` says; "spots": the spots
        of the slide, which differ between platforms.
    field_um
        Edge of the field around each, um; the published 256 px at 20x are 128 um.
    pitch_um
        Distance of the centres of a square grid, um.
    source
        "features": what the image encoder gives, before the projection; "embedding": after it.
    standardise
        Whether the head z-scores its input by its training patients.
    """

    kind: Literal["square", "spots"] = "square"
    field_um: float = 128.0
    pitch_um: float = 128.0
    source: Literal["features", "embedding"] = "features"
    standardise: bool = True

    def __post_init__(self) -> None:
        for name, value in (("field_um", self.field_um), ("pitch_um", self.pitch_um)):
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"tiles.{name} must be positive", got=f"{value} um")


@dataclass(frozen=True)
class StatusScores:
    """How a head was validated; the score of patients that its fold had not seen.

    Parameters
    ----------
    patients
        Patients of each class, in the order of the classes.
    n_slides, n_tiles
        In all.
    scheme
        How the folds were made, in words.
    auc, f1
        Over all patients at once, each scored by the fold that left it out. AUC of the second
        class, or of more than two classes the macro mean of one against the rest; F1 weighted by
        class. None where it cannot be had.
    auc_interval
        95 % interval of ``auc`` by resampling patients; None where there are too few.
    auc_folds, f1_folds
        Fold by fold; None where a fold holds too few classes for an AUC.
    auc_permuted, f1_permuted
        The same pooled scores after labels were shuffled among the patients, one per shuffle.
    f1_majority
        F1 of calling every patient the most frequent class.
    permuted_epochs
        Epochs that the shuffled runs had.
    """

    patients: tuple[int, ...]
    n_slides: int
    n_tiles: int
    scheme: str
    auc: float | None
    f1: float
    auc_interval: tuple[float, ...] | None = None
    auc_folds: tuple[float | None, ...] = ()
    f1_folds: tuple[float, ...] = ()
    auc_permuted: tuple[float, ...] = ()
    f1_permuted: tuple[float, ...] = ()
    f1_majority: float | None = None
    permuted_epochs: int | None = None

    @property
    def n_patients(self) -> int:
        """Patients in all."""
        return sum(self.patients)


@dataclass(frozen=True)
class StatusConfig:
    """Everything about a slide-status head but its weights.

    Parameters
    ----------
    name
        Of the head, and of its folder.
    classes, colours
        Names of the classes, and a "#rrggbb" each.
    abmil, tiles
        Its shape; what goes in.
    model_digest
        Of the model that the head was trained with; it fits no other.
    scores
        How it was validated; None where it was not.
    training
        The settings of the training, for the record.
    trained_on
        Digest of each slide that it was trained on, by name: on these it proves nothing.
    farthest
        How far from the mean tile of the training the tiles of a training patient lie, at most:
        mean of squared z-scores, 1 over all training tiles; None where the input is not z-scored.
    """

    name: str
    classes: tuple[str, ...]
    colours: tuple[str, ...]
    abmil: AbmilConfig
    tiles: TileConfig
    model_digest: str
    scores: StatusScores | None = None
    training: dict[str, Any] = field(default_factory=dict)
    trained_on: dict[str, str] = field(default_factory=dict)
    farthest: float | None = None

    def __post_init__(self) -> None:
        n = len(self.classes)
        problems = []
        if n != self.abmil.n_classes or len(set(self.classes)) < n:
            problems.append(f"{n} class names for {self.abmil.n_classes} outputs")
        if len(self.colours) != n or not all(_COLOUR.fullmatch(c) for c in self.colours):
            problems.append(f"{len(self.colours)} colours for {n} classes")
        if self.scores is not None and len(self.scores.patients) != n:
            problems.append(f"patient numbers of {len(self.scores.patients)} classes, not of {n}")
        if problems:
            raise InputError(
                f"The slide-status head {self.name} is inconsistent", got="; ".join(problems)
            )

    def check_model(self, digest: str) -> None:
        """Refuse another model, whose features mean something else.

        Raises
        ------
        InputError
            Where ``digest`` is not that of the model that the head was trained with.
        """
        if digest != self.model_digest:
            raise InputError(
                f"The slide-status head {self.name} was trained with another model",
                got=f"model digest {digest[:16]}",
                expected=self.model_digest[:16],
                fix="Choose the model that it was trained with, or train a head for this one",
            )

    def to_json(self) -> str:
        """As indented JSON."""
        return json.dumps({"format": _FORMAT, "version": _VERSION, **to_data(self)}, indent=2)


def check_name(name: str) -> str:
    """``name`` where it can be the folder of a head.

    Raises
    ------
    InputError
        Where it holds more than letters, digits, "_", "-" and ".".
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            "A head's name becomes a folder",
            got=repr(name),
            expected="letters, digits, _, - and ., up to 64",
        )
    return name


def read_status(folder: str | Path) -> StatusConfig:
    """Read what a head says of itself, without its weights.

    Raises
    ------
    InputError
        Where the folder is no head, is damaged, or of a newer version.
    """
    path = Path(folder) / CONFIG
    if not path.is_file():
        raise InputError(
            f"{folder} is not a slide-status head",
            got=f"no {CONFIG} in it" if path.parent.is_dir() else "no such folder",
            fix="Train one with: umpire-train mil",
        )
    data = read_json(path, what=str(path))
    if not isinstance(data, dict) or data.pop("format", None) != _FORMAT:
        raise InputError(f"{path} is not the configuration of a slide-status head")
    version = data.pop("version", None)
    if version != _VERSION:
        raise InputError(
            f"{path} has another version of the format",
            got=version,
            expected=_VERSION,
            fix="Update napari-umpire, or train the head again",
        )
    return from_data(StatusConfig, data, str(path))


def list_heads(model_folder: str | Path) -> list[Path]:
    """The folders of a model's slide-status heads, by name; those that are no heads too."""
    folder = Path(model_folder) / HEADS
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
