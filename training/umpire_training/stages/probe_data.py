"""What a probe is tested on: labelled spots of all sections, their folds, and expression."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.errors import InputError
from napari_umpire.inference.classes.folds import Folds, make_folds, random_folds
from napari_umpire.inference.classes.labelled import MIN_PER_CLASS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import scipy.sparse as sp

    from umpire_training.corpus.labelled import LabelledSection
    from umpire_training.options.probe import ProbeSplit

__all__ = ["ProbeData", "gather_sections"]

_BUFFER_PITCHES = 1.5


@dataclass(frozen=True, eq=False)
class ProbeData:
    """Labelled spots, one row each, section by section.

    Attributes
    ----------
    sections
        Where they are from, with the spots of learned classes only.
    classes
        Names, in alphabetical order.
    codes
        (n,) int64 place in ``classes``.
    section
        (n,) int64 place in ``sections``.
    group, group_names
        (n,) int64 slide or patient of each, and what those are called.
    folds
        What is held out.
    notes
        What was left out, in sentences.
    """

    sections: tuple[LabelledSection, ...]
    classes: tuple[str, ...]
    codes: np.ndarray
    section: np.ndarray
    group: np.ndarray
    group_names: tuple[str, ...]
    folds: Folds
    notes: tuple[str, ...]

    @property
    def yx_um(self) -> np.ndarray | None:
        """(n, 2) centres, um; None where a section has none."""
        return _places(self.sections)

    @cached_property
    def expression(self) -> sp.csr_matrix:
        """(n, n_genes) float32 log1p CP10k of the genes that all sections measured."""
        import scipy.sparse as sp

        from napari_umpire.genes import GeneVocabulary
        from napari_umpire.genes.normalise import vocabulary_expression

        vocabulary = GeneVocabulary.from_counts((s.counts, s.genes) for s in self.sections)
        mappings = [vocabulary.map(s.genes) for s in self.sections]
        everywhere = np.all([mapping.measured for mapping in mappings], axis=0)
        if not everywhere.any():
            raise InputError("The sections have no gene in common", fix="Check their gene names")
        parts = [
            vocabulary_expression(s.counts, mapping)[:, everywhere]
            for s, mapping in zip(self.sections, mappings, strict=True)
        ]
        return sp.vstack(parts, format="csr")

    def panel(self, rows: np.ndarray, n: int) -> np.ndarray:
        """(n_spots, n) float32 expression of the genes of the highest variance over ``rows``.

        Fewer than ``n``, and in all folds as many, where the training spots of a fold have fewer.
        """
        from napari_umpire.inference.genes.choice import choose_genes

        n = min(n, self._found_in_every_fold)
        genes = np.sort(choose_genes([self.expression[rows]], "VAR", n, min_detected=0.0))
        return self.expression[:, genes].toarray().astype(np.float32)

    @cached_property
    def _found_in_every_fold(self) -> int:
        parts = [self.expression[fold.train] for fold in self.folds]
        return min(len(np.unique(part.indices[part.data != 0])) for part in parts)

    def held(self, rows: np.ndarray) -> list[LabelledSection]:
        """The sections of the held-out ``rows``."""
        return [self.sections[i] for i in np.unique(self.section[rows])]


def gather_sections(
    sections: Sequence[LabelledSection],
    split: ProbeSplit,
    leave_out: Sequence[str],
    group_of: Mapping[str, str],
    seed: int,
) -> ProbeData:
    """Bring sections together and divide their spots into folds.

    Parameters
    ----------
    group_of
        Slide or patient of each section by name.

    Raises
    ------
    InputError
        Fewer than two classes with enough spots; a name in ``leave_out`` that no spot has; folds
        that cannot be made.
    """
    names = np.concatenate([s.labels for s in sections]).astype(str)
    unique, counts = np.unique(names, return_counts=True)
    found = [str(name) for name in unique]
    unknown = sorted(set(leave_out) - set(found))
    if unknown:
        raise InputError(
            f"No spot is of the class {unknown[0]!r}", got="--leave_out", expected=", ".join(found)
        )
    few = [c for c, n in zip(found, counts, strict=True) if n < MIN_PER_CLASS]
    classes = tuple(c for c in found if c not in leave_out and c not in few)
    if len(classes) < 2:
        raise InputError(
            "There are not two classes to tell apart",
            got=", ".join(f"{n} {c}" for c, n in zip(found, counts, strict=True)),
            expected=f"at least two classes of {MIN_PER_CLASS} spots",
        )
    notes = [note for s in sections for note in s.notes]
    if leave_out:
        n = int(np.isin(names, list(leave_out)).sum())
        notes.append(f"{n:,} spots of the classes {', '.join(leave_out)} are left out.")
    notes += [f"The class {c!r} has fewer than {MIN_PER_CLASS} spots and is left out." for c in few]
    kept = []
    for s in sections:
        keep = np.flatnonzero(np.isin(s.labels.astype(str), classes))
        yx = None if s.yx_um is None else s.yx_um[keep]
        kept.append(
            replace(
                s, counts=s.counts[keep], spots=s.spots[keep], rows=s.rows[keep],
                labels=s.labels[keep], yx_um=yx,
            )
        )  # fmt: skip
    kept = [s for s in kept if len(s.labels)]
    section = np.repeat(np.arange(len(kept)), [len(s.labels) for s in kept])
    every = np.concatenate([s.labels for s in kept]).astype(str)
    codes = np.searchsorted(np.array(classes), every).astype(np.int64)
    groups = [group_of[s.name] for s in kept]
    group_names = tuple(dict.fromkeys(groups))
    group = np.array([group_names.index(g) for g in groups])[section]
    folds = _folds(codes, group, group_names, _places(kept), split, seed)
    return ProbeData(tuple(kept), classes, codes, section, group, group_names, folds, tuple(notes))


def _places(sections: Sequence[LabelledSection]) -> np.ndarray | None:
    parts = [s.yx_um for s in sections]
    return None if any(p is None for p in parts) else np.concatenate([*parts])


def _folds(
    codes: np.ndarray,
    group: np.ndarray,
    names: tuple[str, ...],
    yx_um: np.ndarray | None,
    split: ProbeSplit,
    seed: int,
) -> Folds:
    if split.folds < 2:
        raise InputError("There must be at least 2 folds", got=split.folds)
    one = len(names) < 2
    if one and split.group == "patient":
        raise InputError(
            "Leaving one patient out needs at least two patients",
            got=names[0],
            fix="Add slides of other patients, or set split.group to slide",
        )
    if one and split.kind == "random":
        return random_folds(codes, split.folds, seed=seed)
    if one and yx_um is None:
        raise InputError(
            "Blocks of one slide need the places of its spots",
            fix="Give a slide with its image, or --split.kind random, which leaks",
        )
    places = np.zeros((len(codes), 2)) if yx_um is None else yx_um
    buffer = _BUFFER_PITCHES * _pitch(places) if one else 0.0
    return make_folds(
        codes, group, places, list(names),
        n_folds=split.folds, buffer_um=buffer, seed=seed, unit=split.group,
    )  # fmt: skip


def _pitch(yx_um: np.ndarray) -> float:
    """Distance of neighbouring spots, um: the median of the nearest ones."""
    from scipy.spatial import cKDTree

    return float(np.median(cKDTree(yx_um).query(yx_um, k=2)[0][:, 1]))
