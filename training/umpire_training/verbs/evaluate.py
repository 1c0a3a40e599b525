"""`umpire-train evaluate`: leave one section out, score beside control rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from umpire_training.options import (
    AlignSettings,
    PatchOptions,
    PretrainSettings,
    QcOptions,
    TokenOptions,
    VocabularyOptions,
)

__all__ = ["Options", "run"]


@dataclass(kw_only=True)
class Options:
    """Leave-one-section-out evaluation.

    Parameters
    ----------
    slides
        Slides with image and counts; each is held out once.
    output
        Run folder: folds/, scores.csv, evaluation.md.
    counts
        More counts for vocabulary and pre-training, of sections that are never held out.
    folds
        Names of the slides to hold out; empty: all.
    registration
        Folder of tables with coordinates that all slides share, for the position row.
    model
        Train and score the model; false scores the control rows alone.
    vocabulary
        Gene vocabulary of each fold, built from its training counts unless a path is given.
    qc
        Quality control of spots, in training and scoring.
    tokens
        Tokens.
    patches
        Patches.
    pretrain
        Pre-training, for a visiumformer that align.gene.pretrained does not name.
    align
        Alignment.
    k
        References per spot.
    weighting
        How they are weighted.
    n_genes
        Sizes of the gene sets (HEG, VAR, HVG), which are chosen on the training slides.
    show_genes
        Genes whose correlation is listed on its own.
    permutations
        Permutations of the permuted control; 0 leaves it out.
    device
        Device of the prediction.
    mpp
        um per full-resolution px of all slides, where the files do not say.
    seed
        Seed of everything random.
    resume
        Continue the run in the output folder.
    """

    slides: list[str]
    output: str
    counts: list[str] = field(default_factory=list)
    folds: list[str] = field(default_factory=list)
    registration: str | None = None
    model: bool = True
    vocabulary: VocabularyOptions = field(default_factory=VocabularyOptions)
    qc: QcOptions = field(default_factory=QcOptions)
    tokens: TokenOptions = field(default_factory=TokenOptions)
    patches: PatchOptions = field(default_factory=PatchOptions)
    pretrain: PretrainSettings = field(default_factory=PretrainSettings)
    align: AlignSettings = field(default_factory=AlignSettings)
    k: int = 50
    weighting: Literal["softmax", "similarity"] = "softmax"
    n_genes: list[int] = field(default_factory=lambda: [50])
    show_genes: list[str] = field(default_factory=list)
    permutations: int = 20
    device: str = "auto"
    mpp: float | None = None
    seed: int = 0
    resume: bool = False


def run(options: Options) -> None:
    """Evaluate in a run folder."""
    from napari_umpire.errors import InputError
    from napari_umpire.slides.elements import element_name
    from umpire_training.benchmark.fold import run_fold
    from umpire_training.benchmark.sections import load_measured
    from umpire_training.benchmark.table import write_tables
    from umpire_training.corpus.sources import open_sources
    from umpire_training.engine import need_lightning
    from umpire_training.run_folder import RunFolder, logger
    from umpire_training.stages.align import check_settings

    if options.permutations == 1 or options.permutations < 0:
        raise InputError(
            "One permutation has no spread", got=options.permutations, expected="0, or at least 2"
        )
    if not options.n_genes or min(options.n_genes) < 1:
        raise InputError(
            "The gene sets need sizes", got=options.n_genes, expected="one or more, such as 50 100"
        )
    if options.model:
        need_lightning()
        check_settings(options.align, pretrained_later=True)
    sources = open_sources(options.slides, options.counts, mpp=options.mpp)
    names = [source.name for source in sources if source.path in options.slides]
    unknown = sorted(set(options.folds) - set(names))
    if unknown:
        raise InputError(
            f"No slide is called {', '.join(unknown)}", got="--folds", expected=", ".join(names)
        )
    folder = RunFolder(options.output, verb="evaluate", options=options, resume=options.resume)
    with folder:
        measured = load_measured(
            [source for source in sources if source.path in options.slides],
            folder.path / "sections",
            qc=options.qc,
            patches=options.patches,
            registration=options.registration,
        )
        extra = [source for source in sources if source.path not in options.slides]
        results = [
            run_fold(measured, i, extra, folder.path / "folds" / element_name(m.name), options)
            for i, m in enumerate(measured)
            if not options.folds or m.name in options.folds
        ]
        text = write_tables(
            results,
            folder.path,
            command=f"umpire-train evaluate --config {folder.path / 'config.yaml'}",
            seed=options.seed,
            min_genes=options.qc.min_genes,
        )
        logger.info("%s", text)
        folder.finish(folds=[r["slide"] for r in results])
