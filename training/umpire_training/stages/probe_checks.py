"""What a probe refuses before any work."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from napari_umpire.errors import InputError
from umpire_training.options.ranges import check_ranges
from umpire_training.stages.same_start import digest_parts, same_start

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from umpire_training.stages.probe_data import ProbeData
    from umpire_training.verbs.probe import Options

__all__ = ["check_settings", "patients_by_name", "same_data"]


def check_settings(options: Options) -> None:
    """Refuse options that contradict each other.

    Raises
    ------
    InputError
        One sentence about the first contradiction.
    """
    check_ranges(options)
    given = {
        "--model": options.model is not None,
        "--encoder": options.encoder is not None,
        "--pretrain_counts": bool(options.pretrain_counts),
    }
    chosen = [name for name, there in given.items() if there]
    if len(chosen) != 1:
        raise InputError(
            "What is probed is not clear",
            got=" and ".join(chosen) or "no encoder",
            expected=f"exactly one of {', '.join(given)}",
        )
    if not options.features:
        raise InputError("No features are asked for", expected="genes, image or both")
    if options.model is None and set(options.features) != {"genes"}:
        raise InputError(
            f"A gene encoder has no {' or '.join(sorted(set(options.features) - {'genes'}))} "
            "features",
            fix="Give --model, or --features genes",
        )
    split = options.split
    if split.group == "patient" and (split.patients is None) == (split.patient_pattern is None):
        raise InputError(
            "To leave one patient out, the patients must be known",
            got=f"split.patients {split.patients}, split.patient_pattern {split.patient_pattern}",
            expected="exactly one: a CSV with the columns slide and patient, or a pattern of names",
        )
    if options.save is not None and options.model is None:
        raise InputError("A probe is kept in a model folder", fix="Give --model, or leave out save")
    fit = options.fit
    if not fit.kinds:
        raise InputError("No kind of fit is asked for", expected="adam, logistic or both")
    if fit.patience is not None and fit.val_fraction == 0:
        raise InputError(
            "Early stopping needs held-out spots",
            got="fit.val_fraction 0",
            fix="Raise fit.val_fraction, or set fit.patience to null",
        )


def patients_by_name(pattern: str, names: Iterable[str]) -> dict[str, str]:
    """Section -> what the first group of ``pattern`` finds at the start of its name.

    Raises
    ------
    InputError
        A pattern without a group, or a name that it does not fit.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InputError("split.patient_pattern is no regular expression", got=error) from error
    if not compiled.groups:
        raise InputError(
            "split.patient_pattern has no group", got=pattern, expected='such as "([A-Z])"'
        )
    found = {}
    for name in names:
        match = compiled.match(name)
        if match is None or match[1] is None:
            raise InputError(
                f"split.patient_pattern finds no patient in the name {name}", got=pattern
            )
        found[name] = match[1]
    return found


def same_data(data: ProbeData, folder: Path) -> None:
    """Note in ``folder`` which labelled spots a run is about, or refuse to go on with others.

    Raises
    ------
    InputError
        Counts, labels or folds are not those that the run began with.
    """
    sections = [
        part
        for section in data.sections
        for part in (section.content.digest, "\n".join((*section.spots, *section.labels)))
    ]
    folds = [part.tobytes() for fold in data.folds for part in (fold.train, fold.test)]
    digest = digest_parts(*sections, *folds)
    same_start(folder, "probe", {"spots": (digest, "set of counts, labels and folds")})
