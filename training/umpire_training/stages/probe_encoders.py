"""Gene encoders that a probe looks at: given, untrained, or pre-trained without what is held out.

Features are those before the projection (the paper's downstream features).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_umpire.errors import InputError
from umpire_training.console import follow
from umpire_training.corpus.choice import PART_SHARE
from umpire_training.corpus.content import Content, share
from umpire_training.corpus.seen import refuse_seen
from umpire_training.run_folder import logger
from umpire_training.stages.pretrain import GeneEncoder, pretrain_encoder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import torch

    from napari_umpire.genes import GeneVocabulary
    from napari_umpire.models.folder import LoadedModel
    from umpire_training.corpus.labelled import LabelledSection
    from umpire_training.corpus.sources import Source
    from umpire_training.options.probe import ProbeSettings

__all__ = ["Encoder", "not_seen", "pretrain_without", "without"]

_BATCH = 64


@dataclass(frozen=True, eq=False)
class Encoder:
    """A gene encoder with what its input depends on.

    Attributes
    ----------
    module
        With ``encode``, in eval mode.
    panel
        (n,) vocabulary indices of the genes that it reads the expression of; None: rank tokens.
    length, rounding
        Of the tokens.
    """

    module: Any
    vocabulary: GeneVocabulary
    panel: np.ndarray | None
    length: int
    rounding: Any

    @classmethod
    def of_run(cls, path: str | Path, levels: Sequence[int]) -> Encoder:
        """The pre-trained encoder in a run folder of `pretrain`."""
        found = GeneEncoder.open(path)
        found.module.config = replace(found.module.config, levels=tuple(levels))
        tokens = found.tokens
        return cls(
            found.module.eval(), found.vocabulary, None, tokens["length"], tokens["rounding"]
        )

    @classmethod
    def of_model(cls, loaded: LoadedModel) -> Encoder:
        """The gene encoder of an aligned model."""
        config, vocabulary = loaded.config, loaded.vocabulary
        if not config.aligned:
            raise InputError(
                f"The model {loaded.path} was trained by reconstruction alone: it has no gene "
                "encoder",
                fix="Give another model, or probe its image features: --features image",
            )
        panel = None
        if config.gene.of_panel is not None:
            place = {gene: i for i, gene in enumerate(vocabulary.ids)}
            panel = np.array([place[gene] for gene in config.gene.of_panel.panel])
        tokens = config.tokens
        module = loaded.model.spot_backbone
        return cls(module.eval(), vocabulary, panel, tokens.length, tokens.rounding)

    def untrained(self, seed: int) -> Encoder:
        """The same with random weights; what a panel is standardised by stays."""
        import torch

        torch.manual_seed(seed)
        fresh = type(self.module)(self.module.config)
        if self.panel is not None:
            fresh.load_state_dict({**fresh.state_dict(), **dict(self.module.named_buffers())})
        return replace(self, module=fresh.eval())

    def features(self, section: LabelledSection) -> np.ndarray:
        """(n_spots, dim) float32 of a section's spots."""
        from napari_umpire.inference.embed import compute_features

        inputs = self._inputs(section)
        return follow(
            compute_features(
                len(inputs),
                self.module.dim,
                lambda rows: ((part, inputs[part]) for part in _parts(rows)),
                self.module.encode,
                device=_device(self.module),
                stage=f"gene features of {section.name}",
            )
        )

    def _inputs(self, section: LabelledSection) -> np.ndarray:
        """(n, length) int64 tokens, or (n, n_panel) float32."""
        from napari_umpire.genes import rank_tokens, require_mapped
        from napari_umpire.genes.normalise import vocabulary_expression

        mapping = self.vocabulary.map(section.genes)
        require_mapped(mapping, where=f"Section {section.name}", other="the encoder")
        if self.panel is not None:
            expression = vocabulary_expression(section.counts, mapping)[:, self.panel]
            found = expression.toarray().astype(np.float32)
            # The training mean says nothing, where 0 would say that the gene is off.
            absent = ~np.isin(self.panel, mapping.index)
            found[:, absent] = self.module.mean.numpy(force=True)[absent]
            return found
        return rank_tokens(
            mapping.apply(section.counts),
            self.vocabulary.means,
            length=self.length,
            rounding=self.rounding,
        ).astype(np.int64)


def _parts(rows: np.ndarray) -> list[np.ndarray]:
    return [rows[i : i + _BATCH] for i in range(0, len(rows), _BATCH)]


def _device(module: Any) -> torch.device:
    return next(module.parameters()).device


def not_seen(encoder: str | Path, sections: Sequence[LabelledSection]) -> None:
    """Refuse an encoder that was pre-trained on the counts of a section, whatever it was called.

    Raises
    ------
    InputError
        It was, or its folder does not say by content what it was trained on.
    """
    held = [(section.name, section.content.digest) for section in sections]
    fix = (
        "Prepare the corpus with --exclude, or give --pretrain_counts instead of --encoder: each "
        "fold is then pre-trained without what it holds out"
    )
    if not refuse_seen(encoder, held, fix=fix):
        raise InputError(
            f"The gene encoder {encoder} does not say by content what it was pre-trained on",
            expected="an encoder of a corpus that prepare made",
            fix="Pre-train it again, or say --allow_seen, which the table then says too",
        )


def without(
    held: Sequence[LabelledSection],
    group: str,
    sources: Sequence[Source],
    contents: Mapping[str, Content],
    group_of: Mapping[str, str],
) -> list[Source]:
    """The sources that a fold may be pre-trained on: of other groups, and of other content.

    Parameters
    ----------
    held
        The sections that the fold holds out.
    group
        The slide or patient that it holds out.
    contents, group_of
        Content, and slide or patient, of each source by name.

    Raises
    ------
    InputError
        A section of another group has spots of a held-out one; nothing is left.
    """
    left = [source for source in sources if group_of[source.name] != group]
    for source in left:
        for section in held:
            part = share(contents[source.name], section.content)
            if part >= PART_SHARE:
                raise InputError(
                    f"The counts {source.name} ({source.path}) would be learned from where "
                    f"{section.name} is held out, and have {part:.0%} of the spots in common",
                    expected="counts of other spots",
                    fix="Leave them out of --pretrain_counts, or mend the table of patients",
                )
    if not left:
        raise InputError(
            f"No counts are left to pre-train on where {group} is held out",
            fix="Name more with --pretrain_counts",
        )
    return left


def pretrain_without(
    sources: Sequence[Source],
    contents: Mapping[str, Content],
    folder: Path,
    settings: ProbeSettings,
    *,
    seed: int,
) -> Path:
    """Pre-train a gene encoder on ``sources``, or go on where it was left; its folder."""
    from umpire_training.corpus.tokens import TokenCorpus, build_corpus
    from umpire_training.corpus.vocabulary import make_vocabulary

    corpus = folder / "corpus"
    if not corpus.is_dir():
        vocabulary = make_vocabulary(sources, settings.vocabulary, settings.qc)
        surveyed = [{"content": contents[source.name].digest} for source in sources]
        follow(
            build_corpus(
                sources,
                vocabulary,
                corpus,
                tokens=settings.tokens,
                qc=settings.qc,
                surveyed=surveyed,
            )
        )
    logger.info("pre-training on %d sections", len(sources))
    return pretrain_encoder(
        TokenCorpus.open(corpus),
        copy.deepcopy(settings.pretrain),
        folder=folder / "pretrain",
        seed=seed,
        resume=True,
    )
