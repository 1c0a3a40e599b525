"""All folds of an evaluation: slides opened, checked and measured once, then fold after fold."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_umpire.errors import InputError, UmpireWarning
from umpire_training.options.ranges import check_ranges

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy as np

    from umpire_training.benchmark.methods import Method
    from umpire_training.benchmark.row import Measure
    from umpire_training.benchmark.sections import Measured
    from umpire_training.benchmark.shared import FoldWork
    from umpire_training.benchmark.splits import Split
    from umpire_training.corpus.sources import SlideSource, Source
    from umpire_training.options.evaluation import EvaluationSettings

__all__ = [
    "FoldPlan",
    "check_protocol",
    "fold_works",
    "measured_slides",
    "plan_folds",
    "train_folds",
]


@dataclass(frozen=True)
class FoldPlan:
    """What is held out of which slides.

    Attributes
    ----------
    slides, extra
        The slides, and more counts.
    splits
        The folds.
    words
        What the split speaks of.
    start
        What the run begins with, see `same_slides`.
    n_references
        Fewest reference spots of a fold.
    """

    slides: list[SlideSource]
    extra: list[Source]
    splits: list[Split]
    words: str
    start: dict[str, tuple[str, str]]
    n_references: int


def check_protocol(options: EvaluationSettings) -> None:
    """Refuse numbers that are out of range."""
    check_ranges(options)
    if options.permutations == 1:
        raise InputError(
            "One permutation has no spread", got=options.permutations, expected="0, or at least 2"
        )
    if not options.n_genes:
        raise InputError(
            "The gene sets need sizes", got=options.n_genes, expected="one or more, such as 50 100"
        )


def plan_folds(
    options: EvaluationSettings, methods: Sequence[Method] = (), *, scored: bool = True
) -> FoldPlan:
    """Open the sources and decide what is held out; nothing is written.

    Parameters
    ----------
    scored
        Expression is predicted and scored, of sets of genes.

    Raises
    ------
    InputError
        Where a slide is there twice, has hardly a good spot or lacks the genes that are asked for,
        or a gene encoder that a method names has seen one.
    """
    from umpire_training.baselines.position import registered_positions
    from umpire_training.benchmark.apart import require_apart, require_unseen
    from umpire_training.benchmark.gene_checks import check_method_genes, check_scored_genes
    from umpire_training.benchmark.places import require_places
    from umpire_training.benchmark.same_slides import start_of
    from umpire_training.benchmark.sections import good_sections
    from umpire_training.benchmark.splits import make_splits, split_words
    from umpire_training.corpus.finding import find_sources
    from umpire_training.corpus.patients import read_patient_of
    from umpire_training.corpus.whole_slides import opened_slides

    found, extra = find_sources(options.slides, options.counts, mpp=options.mpp)
    slides = opened_slides(found)
    contents = require_apart(slides, extra)
    named = {m.settings.align.gene.pretrained for m in methods if not m.settings.start}
    for encoder in sorted(encoder for encoder in named if encoder):
        require_unseen(encoder, slides, contents[: len(slides)])
    names = [source.name for source in slides]
    require_places(names)
    patient_of = None
    if options.patients is not None:
        patient_of = read_patient_of(options.patients, names)
    splits = make_splits(names, options.split, patient_of, options.folds)
    require_places(split.name for split in splits)
    good = good_sections(slides, options.qc)
    positions: list[np.ndarray | None] = [None] * len(good)
    if options.registration is not None:
        positions = registered_positions(options.registration, [s.slide for s in good])
    if scored:
        check_scored_genes(good, splits, options)
    for method in methods:
        check_method_genes(good, splits, method)
    n_spots = [source.slide.n_spots for source in good]
    return FoldPlan(
        slides,
        extra,
        splits,
        words=split_words(options.split, names, patient_of),
        start=start_of(slides, extra, contents, patient_of, positions),
        n_references=min(sum(n_spots[i] for i in split.train) for split in splits),
    )


def measured_slides(plan: FoldPlan, options: EvaluationSettings, folder: Path) -> list[Measured]:
    """The good spots of all slides, with what does not depend on the fold.

    Raises
    ------
    InputError
        Where ``folder`` holds what was made of other slides.
    """
    from umpire_training.benchmark.sections import load_measured
    from umpire_training.stages.same_start import same_start

    same_start(folder, "evaluation", plan.start)
    return load_measured(
        plan.slides,
        folder / "sections",
        qc=options.qc,
        patches=options.patches,
        registration=options.registration,
    )


def fold_works(
    plan: FoldPlan, options: EvaluationSettings, measured: list[Measured], folder: Path
) -> Iterator[FoldWork]:
    """What the rows of each fold share."""
    from napari_umpire.inference.cache import FeatureCache
    from umpire_training.benchmark.places import place_name
    from umpire_training.benchmark.shared import FoldWork

    cache = FeatureCache(folder / "features")
    for split in plan.splits:
        place = folder / "folds" / place_name(split.name)
        yield FoldWork.of(measured, split, plan.extra, place, options, cache)


def train_folds(
    plan: FoldPlan,
    options: EvaluationSettings,
    methods: list[Method],
    folder: Path,
    *,
    alone: bool = False,
    keep: bool = True,
    measure: Measure | None = None,
) -> list[dict[str, Any]]:
    """One result per held-out slide, in the order of the folds; see `run_fold`."""
    from umpire_training.benchmark.fold import run_fold

    _say_few_references(plan, methods)
    results = []
    for work in fold_works(plan, options, measured_slides(plan, options, folder), folder):
        results += run_fold(work, methods, alone=alone, keep=keep, measure=measure)
    return results


def _say_few_references(plan: FoldPlan, methods: Sequence[Method]) -> None:
    wide = [m for m in methods if m.settings.prediction == "retrieval"]
    k = max((m.settings.k for m in wide), default=0)
    if k > plan.n_references:
        warnings.warn(
            f"k is {k:,}, and a fold has only {plan.n_references:,} reference spots: each "
            "prediction of it is made of all of them.",
            UmpireWarning,
            stacklevel=2,
        )
