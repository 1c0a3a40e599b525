"""What is held out at a time: one slide, or all slides of one patient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from napari_umpire.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Split", "make_splits", "split_words"]


@dataclass(frozen=True)
class Split:
    """One fold.

    Attributes
    ----------
    name
        Of the slide or the patient that is held out.
    train, held
        Places among the slides.
    """

    name: str
    train: tuple[int, ...]
    held: tuple[int, ...]


def make_splits(
    names: Sequence[str],
    split: Literal["slide", "patient"],
    patient_of: Mapping[str, str] | None,
    only: Sequence[str] = (),
) -> list[Split]:
    """Folds over the slides ``names``, in their order, or over patients in that of their slides.

    Parameters
    ----------
    patient_of
        Slide -> patient, see `corpus.patients.read_patient_of`; None: unknown.
    only
        Names of the folds that are wanted; empty: all.

    Raises
    ------
    InputError
        Where patients are to be left out but are not known, or there is only one; for a name in
        ``only`` that no fold has.
    """
    if len(names) < 2:
        raise InputError("Leaving one section out needs at least two", got=f"{len(names)} slides")
    if split == "slide":
        groups = list(names)
    else:
        if patient_of is None:
            raise InputError(
                "To leave one patient out, the patients must be known",
                got="no table of patients",
                expected="a CSV with the columns slide and patient",
                fix="Give it with --patients, or leave single sections out: --split slide",
            )
        groups = [patient_of[name] for name in names]
        if len(set(groups)) < 2:
            raise InputError(
                "Leaving one patient out needs at least two patients",
                got=f"{len(names)} slides, all of patient {groups[0]}",
                fix="Add slides of other patients, or leave single sections out: --split slide; "
                "that says nothing of a new patient",
            )
    order = list(dict.fromkeys(groups))
    unknown = sorted(set(only) - set(order))
    if unknown:
        raise InputError(
            f"No {split} is called {', '.join(unknown)}", got="--folds", expected=", ".join(order)
        )
    return [
        Split(
            name,
            tuple(i for i, group in enumerate(groups) if group != name),
            tuple(i for i, group in enumerate(groups) if group == name),
        )
        for name in order
        if not only or name in only
    ]


def split_words(split: str, names: Sequence[str], patient_of: Mapping[str, str] | None) -> str:
    """What the split does and does not speak of, in a sentence."""
    if patient_of is None:
        return (
            "One section is held out at a time; whether others of its patient are in training is "
            "not known to the program."
        )
    patients = [patient_of[name] for name in names]
    n = len(set(patients))
    if split == "patient":
        return f"All sections of one patient are held out at a time ({n} patients)."
    shared = sum(patients.count(p) > 1 for p in patients)
    said = f"{n} patient{'s' * (n > 1)}"
    if not shared:
        return f"One section is held out at a time, each of another patient ({said})."
    return (
        f"One section is held out at a time ({said}): of {shared} of {len(names)} sections another "
        "one of the same patient is in training, so these numbers say nothing of a new patient."
    )
