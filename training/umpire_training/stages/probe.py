"""A probe's test, fold by fold: linear layers on frozen features, beside what needs no encoder."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_umpire.files import replace_file
from napari_umpire.inference.classes.probe_check import position_inputs
from umpire_training.baselines.permuted import permuted_rows
from umpire_training.run_folder import logger
from umpire_training.stages.probe_fit import fit_linear, fit_mlp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from napari_umpire.inference.classes.folds import Fold
    from umpire_training.options.probe import ProbeSettings
    from umpire_training.stages.probe_data import ProbeData

__all__ = ["LARGEST", "POSITION", "SHUFFLED", "FoldResult", "probe_folds"]

LARGEST, POSITION, SHUFFLED = "largest class", "position only", "shuffled labels"
_KINDS = {"adam": "Adam", "logistic": "logistic"}


@dataclass(frozen=True, eq=False)
class FoldResult:
    """What each row said of one fold's held-out spots.

    Attributes
    ----------
    name
        What was held out.
    n_train
        Spots that were learned from.
    given
        (m,) classes of the held-out spots.
    test
        (m,) their rows in the data.
    said
        Row -> (m,) classes; of `SHUFFLED` (permutations, m).
    """

    name: str
    n_train: int
    given: np.ndarray
    test: np.ndarray
    said: dict[str, np.ndarray]


def probe_folds(
    data: ProbeData,
    features_of: Callable[[int, Fold], Mapping[str, np.ndarray]],
    settings: ProbeSettings,
    *,
    folder: Path,
    seed: int,
) -> list[FoldResult]:
    """Train and test every row in every fold; a fold that is in ``folder`` is not done again.

    Parameters
    ----------
    features_of
        Number of a fold, and the fold -> features by name, (n, dim) of all spots each, made
        without a look at what the fold holds out. The first is the one that the probe is about.
    """
    results = []
    for number, fold in enumerate(data.folds):
        place = folder / f"{number:02d}-{re.sub(r'[^A-Za-z0-9_.-]+', '_', fold.name)}.json"
        if place.is_file():
            said = json.loads(place.read_text(encoding="utf-8"))["said"]
        else:
            logger.info("fold %s: %d spots held out", fold.name, len(fold.test))
            said = _fold(data, fold, features_of(number, fold), settings, seed)
            _write(place, fold, said)
        rows = {name: np.array(codes, np.int64) for name, codes in said.items()}
        given = data.codes[fold.test]
        results.append(FoldResult(fold.name, len(fold.train), given, fold.test, rows))
    return results


def _fold(
    data: ProbeData,
    fold: Fold,
    features: Mapping[str, np.ndarray],
    settings: ProbeSettings,
    seed: int,
) -> dict[str, Any]:
    k, train, test = len(data.classes), fold.train, fold.test
    codes, controls, options = data.codes[train], settings.controls, settings.fit
    said: dict[str, Any] = {}

    def layer(x: np.ndarray, given: np.ndarray, kind: str) -> list[int]:
        found = fit_linear(x[train], given, k, kind, options, seed)
        return found.predict(x[test]).tolist()

    for name, x in features.items():
        for kind in options.kinds:
            said[f"{name}, {_KINDS[kind]}"] = layer(x, codes, kind)
    if controls.expression_genes:
        x = data.panel(train, controls.expression_genes)
        row = f"expression of {x.shape[1]:,} genes, logistic"
        said[row] = layer(x, codes, "logistic")
    if controls.mlp_genes:
        x = data.panel(train, controls.mlp_genes)
        row = f"GeneMLP on expression of {x.shape[1]:,} genes"
        said[row] = fit_mlp(x[train], codes, k, x[test], options, controls, seed).tolist()
    if data.yx_um is not None:
        x = position_inputs(data.yx_um, data.section)
        said[POSITION] = layer(x, codes, "logistic")
    if controls.permutations:
        first = next(iter(features.values()))
        orders = permuted_rows(data.section[train], n=controls.permutations, seed=[seed, 0x5AFE])
        said[SHUFFLED] = [layer(first, codes[order], options.kinds[0]) for order in orders]
    said[LARGEST] = np.full(len(test), np.bincount(codes).argmax()).tolist()
    return said


def _write(place: Path, fold: Fold, said: dict[str, Any]) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    with replace_file(place) as written:
        text = json.dumps({"fold": fold.name, "said": said})
        written.write_text(text, encoding="utf-8")
