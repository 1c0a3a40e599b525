"""An evaluation by leaving slides or patients out, and what may differ between its methods."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from napari_umpire.inference.predictions.weights import Weighting  # noqa: TC001  (keys.py reads the options' types)
from umpire_training.options.data import PatchOptions, QcOptions, TokenOptions, VocabularyOptions
from umpire_training.options.finetune import FinetuneSettings
from umpire_training.options.stages import AlignSettings, PretrainSettings

__all__ = ["EvaluationSettings", "MethodSettings"]


@dataclass(kw_only=True)
class MethodSettings:
    """What one row of an evaluation does; the rows of a benchmark differ in these.

    Parameters
    ----------
    vocabulary
        Gene vocabulary of each fold, built from its training counts unless a path is given: the
        genes that become tokens, and those that a decoder can write.
    tokens
        Tokens.
    first_stage
        Pre-train the gene encoder on the counts of the training slides (stage 1), where it is a
        visiumformer that align.gene.pretrained does not name; false: from scratch.
    pretrain
        Pre-training, for such a visiumformer.
    align
        Alignment.
    start
        Fine-tune a model that is aligned already: a model folder, or in a benchmark the name of
        an earlier row, whose model of the same fold and seed it is; empty: align anew.
    finetune
        That fine-tuning.
    prediction
        By "retrieval" of the reference spots that an image resembles, or by the "decoder" that
        align.rec trains.
    k
        References per spot.
    weighting
        How they are weighted.
    """

    vocabulary: VocabularyOptions = field(default_factory=VocabularyOptions)
    tokens: TokenOptions = field(default_factory=TokenOptions)
    first_stage: bool = True
    pretrain: PretrainSettings = field(default_factory=PretrainSettings)
    align: AlignSettings = field(default_factory=AlignSettings)
    start: str = ""
    finetune: FinetuneSettings = field(default_factory=FinetuneSettings)
    prediction: Literal["retrieval", "decoder"] = "retrieval"
    k: int = 50
    weighting: Weighting = "softmax"


@dataclass(kw_only=True)
class EvaluationSettings(MethodSettings):
    """An evaluation by leaving slides or patients out.

    Parameters
    ----------
    slides
        Slides with image and counts; each is held out once.
    output
        Run folder.
    counts
        More counts for vocabulary and pre-training, of sections that are never held out.
    split
        Hold out one "slide" at a time, or all slides of one "patient".
    patients
        CSV with the columns slide and patient.
    folds
        Names of the slides, or patients, to hold out; empty: all.
    registration
        Folder of tables with coordinates that all slides share, for the position row.
    qc
        Quality control of spots, in training and scoring.
    patches
        Patches.
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
    split: Literal["slide", "patient"] = "slide"
    patients: str | None = None
    folds: list[str] = field(default_factory=list)
    registration: str | None = None
    qc: QcOptions = field(default_factory=QcOptions)
    patches: PatchOptions = field(default_factory=PatchOptions)
    n_genes: list[int] = field(default_factory=lambda: [50])
    show_genes: list[str] = field(default_factory=list)
    permutations: int = 20
    device: str = "auto"
    mpp: float | None = None
    seed: int = 0
    resume: bool = False
