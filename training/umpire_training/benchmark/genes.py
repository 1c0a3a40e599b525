"""The genes that a fold is scored on, chosen on its training slides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_umpire.genes import GeneVocabulary
    from umpire_training.benchmark.sections import Measured

__all__ = ["ScoredGenes", "choose"]


@dataclass(frozen=True)
class ScoredGenes:
    """Genes of one fold.

    Attributes
    ----------
    indices
        (n,) vocabulary indices of all scored genes.
    ids, symbols
        Their names.
    sets
        Such as "HEG50" -> places in ``indices``, (50,).
    shown
        Gene asked for by name -> its place in ``indices``.
    train, test
        Expression (n_spots, n) float32 of each training slide and of each held-out one, by name.
    """

    indices: np.ndarray
    ids: list[str]
    symbols: list[str]
    sets: dict[str, np.ndarray]
    shown: dict[str, int]
    train: dict[str, np.ndarray]
    test: dict[str, np.ndarray]


def choose(
    vocabulary: GeneVocabulary,
    train: list[Measured],
    test: list[Measured],
    *,
    sizes: Sequence[int],
    show: list[str],
) -> ScoredGenes:
    """Choose HEG, VAR and HVG genes on the training slides, among those measured everywhere.

    A gene must be found in 10 % of the training spots. The held-out slides decide nothing but
    which genes they measured.

    Parameters
    ----------
    sizes
        How many genes a set has; one set of each kind for each size.
    show
        Genes to score on their own, by symbol or id.
    """
    from napari_umpire.inference.genes.choice import choose_genes

    parts = {m.name: m.expression(vocabulary) for m in train}
    truth = {m.name: m.expression(vocabulary) for m in test}
    everywhere = np.ones(vocabulary.n_genes, bool)
    for _, measured in (*parts.values(), *truth.values()):
        everywhere &= measured
    common = np.flatnonzero(everywhere)
    expression = [part[:, common] for part, _ in parts.values()]
    chosen = {
        f"{kind}{n}": common[choose_genes(expression, kind, n)]
        for n in sizes
        for kind in ("HEG", "VAR", "HVG")
    }
    named = {name: _find(vocabulary, name, everywhere) for name in show}
    indices = np.unique(np.concatenate([*chosen.values(), np.array([*named.values()], np.int64)]))
    place = {int(gene): i for i, gene in enumerate(indices)}
    return ScoredGenes(
        indices=indices,
        ids=[str(vocabulary.ids[i]) for i in indices],
        symbols=[str(vocabulary.symbols[i]) for i in indices],
        sets={k: np.array([place[int(g)] for g in genes]) for k, genes in chosen.items()},
        shown={name: place[gene] for name, gene in named.items()},
        train={name: part[:, indices].toarray() for name, (part, _) in parts.items()},
        test={name: part[:, indices].toarray() for name, (part, _) in truth.items()},
    )


def _find(vocabulary: GeneVocabulary, name: str, everywhere: np.ndarray) -> int:
    index = int(vocabulary.map([name]).index[0])
    if index < 0 or not everywhere[index]:
        raise InputError(
            f"Gene {name} is not measured on all slides", fix="Leave it out of --show_genes"
        )
    return index
