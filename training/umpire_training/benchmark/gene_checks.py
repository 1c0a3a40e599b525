"""Are there genes enough for what an evaluation asks? Told from the counts, before any work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.errors import InputError
from napari_umpire.inference.genes.choice import MIN_DETECTED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from umpire_training.benchmark.methods import Method
    from umpire_training.benchmark.splits import Split
    from umpire_training.corpus.sources import SlideSource
    from umpire_training.options import TargetOptions
    from umpire_training.options.evaluation import EvaluationSettings, MethodSettings

__all__ = ["check_method_genes", "check_scored_genes"]


def check_scored_genes(
    good: Sequence[SlideSource], splits: Sequence[Split], options: EvaluationSettings
) -> None:
    """Refuse sets of genes that no fold could choose, and genes by name that it could not score.

    Parameters
    ----------
    good
        The slides with their good spots only.

    Raises
    ------
    InputError
        Where the slides have no gene in common, too few, or not the genes to show.
    """
    from napari_umpire.genes import GeneVocabulary
    from napari_umpire.genes.normalise import vocabulary_expression

    parts = [(source.slide.counts(), source.slide.genes) for source in good]
    vocabulary = GeneVocabulary.from_counts(parts, min_spots=1)
    mappings = [vocabulary.map(genes) for _, genes in parts]
    measured = np.stack([mapping.measured for mapping in mappings])
    everywhere = measured.all(axis=0)
    if not everywhere.any():
        raise InputError(
            "No gene is common to the slides",
            got="; ".join(_in_words(source) for source in good[:4])
            + (" and more" if len(good) > 4 else ""),
            expected="slides of one species, with the same kind of gene names",
            fix="Leave out the slides whose genes are others",
        )
    found = []
    for (counts, _), mapping in zip(parts, mappings, strict=True):
        x = vocabulary_expression(counts, mapping)
        found.append(np.bincount(x.indices[x.data != 0], minlength=vocabulary.n_genes))
    shown = {name: int(vocabulary.map([name]).index[0]) for name in options.show_genes}
    for name, gene in shown.items():
        without = [s.name for s, has in zip(good, measured, strict=True) if not has[gene]]
        if gene < 0 or without:
            raise InputError(
                f"Gene {name} is not measured on all slides",
                got="on none" if gene < 0 else f"not on {', '.join(without[:4])}",
                fix="Leave it out of show_genes and overlays, or check how it is spelt",
            )
    for split in splits:
        train = list(split.train)
        n_spots = sum(parts[i][0].shape[0] for i in train)
        seen = np.sum([found[i] for i in train], axis=0)
        often = everywhere & (seen > 0) & (seen >= MIN_DETECTED * n_spots)
        if often.sum() < max(options.n_genes):
            raise InputError(
                f"There are too few genes to choose sets of {max(options.n_genes)} from",
                got=f"{everywhere.sum():,} genes common to the slides, {often.sum():,} of them "
                f"found in a tenth of the training spots where {split.name} is held out",
                fix=f"Set n_genes to at most {often.sum()}, or leave out the slide that has few"
                if often.any()
                else "Check that the slides are of the same kind",
            )
        never = [name for name, gene in shown.items() if not seen[gene]]
        if never:
            raise InputError(
                f"Gene {never[0]} is found in no training spot where {split.name} is held out",
                fix="Leave it out of show_genes and overlays",
            )


def check_method_genes(
    good: Sequence[SlideSource], splits: Sequence[Split], method: Method
) -> None:
    """Refuse a row that learns from more genes than its training slides have in common.

    Raises
    ------
    InputError
        Naming the option.
    """
    wanted = _wanted(method.settings)
    if not wanted:
        return
    n, where = min(
        (_available([good[i] for i in split.train], method.settings), split.name)
        for split in splits
    )
    for option, number in wanted.items():
        if number > n:
            raise InputError(
                f"{option} is more genes than there are",
                got=number,
                expected=f"at most {n}: genes that all training slides measured and the "
                f"vocabulary has, where {where} is held out",
                fix=f"Lower {option}",
            )


def _wanted(settings: MethodSettings) -> dict[str, int]:
    """Option -> how many genes it asks for."""
    if settings.start:
        return _of_target(settings.finetune.target, "finetune.target")
    align = settings.align
    wanted = {}
    if align.contrast.weight > 0:
        wanted = _of_target(align.target, "align.target")
        if align.gene.kind != "visiumformer":
            wanted["align.gene.panel_genes"] = align.gene.panel_genes
    if align.rec.weight > 0 and align.rec.genes is not None:
        wanted["align.rec.genes"] = align.rec.genes
    return wanted


def _of_target(target: TargetOptions, group: str) -> dict[str, int]:
    if target.kind != "soft" or target.space != "expression":
        return {}
    if target.components is not None and target.components > target.genes:
        raise InputError(
            f"{group}.components is more than {group}.genes",
            got=target.components,
            expected=f"at most {target.genes}",
        )
    return {f"{group}.genes": target.genes}


def _available(train: Sequence[SlideSource], settings: MethodSettings) -> int:
    """Genes of the vocabulary that all of ``train`` measured, or a few more."""
    from napari_umpire.genes import GeneVocabulary
    from umpire_training.corpus.vocabulary import read_vocabulary

    options = settings.vocabulary
    if options.path is not None:
        vocabulary = read_vocabulary(options.path)
    else:
        parts = ((source.slide.counts(), source.slide.genes) for source in train)
        vocabulary = GeneVocabulary.from_counts(parts, min_spots=1)
    common = np.all([vocabulary.map(source.slide.genes).measured for source in train], axis=0)
    most = options.max_genes if options.path is None else None
    return int(common.sum()) if most is None else min(most, int(common.sum()))


def _in_words(source: SlideSource) -> str:
    from umpire_training.corpus.species import source_species

    genes = source.slide.genes
    species = source_species(source.species, genes) or "species not told"
    return f"{source.name} ({species}, {len(genes):,} genes such as {genes.index[0]})"
