"""A linear probe: what it learns from, how it is trained, and how it is tested."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from umpire_training.options.data import QcOptions, TokenOptions, VocabularyOptions
from umpire_training.options.stages import PretrainSettings

__all__ = ["FitOptions", "ProbeControls", "ProbeSettings", "ProbeSplit"]


@dataclass(kw_only=True)
class FitOptions:
    """How one linear layer is trained on features standardised over the training spots.

    Parameters
    ----------
    kinds
        "adam": as the paper. "logistic": the same layer at the minimum of its penalised loss
        (scikit-learn's logistic regression), which no length of training can cut short.
    lr
        adam: learning rate.
    epochs
        adam: passes over the training spots at most.
    patience
        adam: stop after so many passes without a better loss of the spots held out of them; null:
        never.
    val_fraction
        adam: share of the training spots that is held out for that, at random.
    batch_size
        adam: spots per step (the paper gives none).
    c
        logistic: inverse strength of the penalty, scikit-learn's C.
    balanced
        Each class weighs the same in the loss, however few its spots; the paper says nothing of it.
    """

    kinds: list[Literal["adam", "logistic"]] = field(default_factory=lambda: ["adam"])
    lr: float = 1e-4
    epochs: int = 50
    patience: int | None = 5
    val_fraction: float = 0.2
    batch_size: int = 64
    c: float = 1.0
    balanced: bool = False


@dataclass(kw_only=True)
class ProbeSplit:
    """What is held out at a time.

    Parameters
    ----------
    group
        "slide", or "patient": all slides of one patient together.
    patients
        For group patient: CSV with the columns slide and patient, of all slides and counts.
    patient_pattern
        For group patient, in place of the table: a regular expression; what its first group finds
        at the start of a section's name is the patient, such as "([A-Z])" for A1, A2, B1.
    folds
        Folds of a single slide.
    kind
        Of a single slide: "blocks" of neighbouring spots, whose surroundings are not learned from;
        "random", as published, which leaks: a held-out spot has its neighbours in training.
    """

    group: Literal["slide", "patient"] = "slide"
    patients: str | None = None
    patient_pattern: str | None = None
    folds: int = 5
    kind: Literal["blocks", "random"] = "blocks"


@dataclass(kw_only=True)
class ProbeControls:
    """What is tested beside, in the same folds.

    Parameters
    ----------
    untrained
        The gene encoder of the same shape with random weights.
    expression_genes
        Logistic regression on the log expression of so many genes of the highest variance over
        each fold's training spots; 0: none.
    mlp_genes
        GeneMLP, trained on the labels, on so many of them; 0: none.
    mlp_hidden, mlp_features, mlp_dropout
        Its hidden layers, its width before the last layer, its dropout.
    permutations
        Probes learned from labels shuffled within each slide; 0: none.
    """

    untrained: bool = True
    expression_genes: int = 500
    mlp_genes: int = 1000
    mlp_hidden: list[int] = field(default_factory=lambda: [512])
    mlp_features: int = 256
    mlp_dropout: float = 0.3
    permutations: int = 5


@dataclass(kw_only=True)
class ProbeSettings:
    """A linear probe of spot labels on frozen features.

    Parameters
    ----------
    features
        "genes": of the gene encoder before the projection; "image": of the image encoder before
        the projection; "both" side by side. The last two need a model, and slides with images.
    levels
        What is pooled of a pre-trained gene encoder: 0 is the embeddings, i the output of the i-th
        block, -1 that of the last; several are concatenated. A model has its own.
    leave_out
        Names of classes that are not learned, such as "undetermined".
    fit
        Training.
    split
        What is held out.
    controls
        What is tested beside.
    qc
        Which spots count.
    vocabulary
        With pretrain_counts: the genes that become tokens, of each fold's own counts.
    tokens
        With pretrain_counts: tokens.
    pretrain
        With pretrain_counts: pre-training.
    """

    features: list[Literal["genes", "image", "both"]] = field(default_factory=lambda: ["genes"])
    levels: list[int] = field(default_factory=lambda: [-1])
    leave_out: list[str] = field(default_factory=list)
    fit: FitOptions = field(default_factory=FitOptions)
    split: ProbeSplit = field(default_factory=ProbeSplit)
    controls: ProbeControls = field(default_factory=ProbeControls)
    qc: QcOptions = field(default_factory=QcOptions)
    vocabulary: VocabularyOptions = field(default_factory=VocabularyOptions)
    tokens: TokenOptions = field(default_factory=TokenOptions)
    pretrain: PretrainSettings = field(default_factory=PretrainSettings)
