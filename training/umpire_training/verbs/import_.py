"""`umpire-train import`: a published checkpoint becomes a model folder, or a gene encoder."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

__all__ = ["ContextNames", "Options", "run"]


@dataclass(kw_only=True)
class ContextNames:
    """What Nicheformer is told of every spot, as one token each.

    Parameters
    ----------
    species
        human or mouse.
    assay
        MERFISH, CosMx, Xenium, 10x 5' v2, 10x 3' v3, 10x 3' v2, 10x 5' v1, 10x 3' v1, 10x 3',
        10x 5', CITE-seq or Smart-seq v4. There is none for Visium, which Nicheformer never saw;
        10x 3' (version not known) stands for it here, because Visium captures the 3' ends of the
        whole transcriptome as that does.
    modality
        spatial or dissociated.
    """

    species: str = "human"
    assay: str = "10x 3'"
    modality: str = "spatial"


@dataclass(kw_only=True)
class Options:
    """A model folder, or a gene encoder for `align`, from weights that others published.

    Parameters
    ----------
    weights
        The checkpoint: a published pickle such as with_phikon.pkl, a torch or Lightning checkpoint,
        or safetensors. Nothing in it is run.
    output
        Folder to make.
    kind
        "umpire": a whole UMPIRE model, which becomes a model folder. "nicheformer",
        "visiumformer": a gene encoder alone, which becomes a folder for gene.pretrained of
        `align`. The two have the same tensors, so the file cannot tell which it is.
    vocabulary
        Folder of the published model.h5ad, gene_name_id_dict.pkl and Visium_mean.npy, whose genes
        are also Nicheformer's.
    gene_order
        Instead of vocabulary, for a gene encoder alone: the genes in token order, as h5ad file
        (Nicheformer's model.h5ad) or text table of id and symbol.
    means
        For a gene encoder alone: npy file of the mean of each gene in the technology that is read;
        null: those of vocabulary. Nicheformer has one for each technology, none for Visium.
    context
        For nicheformer: species, assay and modality.
    pooling
        For a gene encoder alone: "published" (without the first three positions, padding
        included) or "masked_mean" (over the genes).
    vision
        For umpire: image encoder, by name; null: told from the names of its tensors.
    overwrite
        Replace a folder of the same kind that is there.
    """

    weights: str
    output: str
    kind: Literal["umpire", "nicheformer", "visiumformer"] = "umpire"
    vocabulary: str | None = None
    gene_order: str | None = None
    means: str | None = None
    context: ContextNames = field(default_factory=ContextNames)
    pooling: Literal["published", "masked_mean"] = "published"
    vision: str | None = None
    overwrite: bool = False


class _Done(Protocol):
    # The classes behind it import torch, and what is imported for annotations --help imports too.
    @property
    def unused(self) -> tuple[str, ...]: ...
    @property
    def left_out(self) -> tuple[str, ...]: ...
    def report(self) -> str: ...


def run(options: Options) -> None:
    """Convert, and list everything that did not fit."""
    from umpire_training.console import say

    _check(options)
    done = _model(options) if options.kind == "umpire" else _encoder(options)
    say(done.report())
    for title, keys in (("never used", done.unused), ("without a place", done.left_out)):
        for key in keys:
            say(f"  {title}: {key}")


def _check(options: Options) -> None:
    """Refuse options that the kind does not take, rather than pass over them."""
    from napari_umpire.errors import InputError

    whole = options.kind == "umpire"
    idle = {
        "gene_order": whole and options.gene_order is not None,
        "means": whole and options.means is not None,
        "context": options.kind != "nicheformer" and options.context != ContextNames(),
        "pooling": whole and options.pooling != "published",
        "vision": not whole and options.vision is not None,
    }
    said = [name for name, wrong in idle.items() if wrong]
    if said:
        raise InputError(
            f"An import of kind {options.kind} has no use for {', '.join(said)}",
            fix="Leave it out, or set kind",
        )
    if (options.vocabulary is None) == (options.gene_order is None):
        raise InputError(
            "Which genes the tokens stand for must be told once",
            got="neither" if options.vocabulary is None else "both",
            expected="vocabulary" if whole else "vocabulary or gene_order",
        )


def _model(options: Options) -> _Done:
    from napari_umpire.models.published import import_published
    from napari_umpire.models.vision_config import VisionConfig

    assert options.vocabulary is not None
    return import_published(
        options.weights,
        options.vocabulary,
        options.output,
        vision=None if options.vision is None else VisionConfig(options.vision),
        overwrite=options.overwrite,
    )


def _encoder(options: Options) -> _Done:
    from napari_umpire.genes.gene_order import vocabulary_of, with_means
    from napari_umpire.genes.vocabulary import GeneVocabulary
    from napari_umpire.models.nicheformer import context_tokens
    from umpire_training.stages.import_encoder import import_encoder

    if options.gene_order is not None:
        vocabulary = vocabulary_of(options.gene_order, options.means)
    else:
        assert options.vocabulary is not None
        vocabulary = GeneVocabulary.from_published(options.vocabulary)
        if options.means is not None:
            vocabulary = with_means(vocabulary, options.means)
    names = options.context
    return import_encoder(
        options.weights,
        vocabulary,
        options.output,
        context=context_tokens(names.species, names.assay, names.modality)
        if options.kind == "nicheformer"
        else (),
        pooling=options.pooling,
        overwrite=options.overwrite,
    )
