"""What the rows of one fold share: vocabulary, genes, pairs, pre-trained encoders, features."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from umpire_training.benchmark.genes import ScoredGenes, choose
from umpire_training.benchmark.methods import digest_of
from umpire_training.console import follow
from umpire_training.options import VocabularyOptions

if TYPE_CHECKING:
    from pathlib import Path

    from napari_umpire.genes import GeneVocabulary
    from napari_umpire.inference.cache import FeatureCache
    from umpire_training.benchmark.sections import Measured
    from umpire_training.benchmark.splits import Split
    from umpire_training.corpus.paired import PairedSet
    from umpire_training.corpus.sources import Source
    from umpire_training.options.evaluation import EvaluationSettings, MethodSettings

__all__ = ["FoldWork"]


@dataclass(eq=False)
class FoldWork:
    """One fold: what is learned from its training slides once, whichever row asks first.

    Everything here sees the training slides (and, for vocabulary and pre-training, ``extra``
    counts) only. What was made before lies in ``folder`` and is read.

    Attributes
    ----------
    train, test
        Training and held-out slides.
    extra
        More counts for vocabulary and pre-training.
    folder
        Of the fold.
    cache
        Image and gene features of frozen encoders, by encoder and slide.
    """

    split: Split
    train: list[Measured]
    test: list[Measured]
    extra: list[Source]
    folder: Path
    options: EvaluationSettings
    cache: FeatureCache
    _vocabularies: dict[str, GeneVocabulary] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls,
        measured: list[Measured],
        split: Split,
        extra: list[Source],
        folder: Path,
        options: EvaluationSettings,
        cache: FeatureCache,
    ) -> FoldWork:
        """The fold ``split`` of the slides ``measured``."""
        train = [measured[i] for i in split.train]
        test = [measured[i] for i in split.held]
        return cls(split, train, test, extra, folder, options, cache)

    def scored(self) -> tuple[GeneVocabulary, ScoredGenes]:
        """All genes of the training slides, and those that are scored, tokens or not."""
        from umpire_training.corpus.vocabulary import make_vocabulary

        sources = [m.source for m in self.train]
        vocabulary = make_vocabulary(sources, VocabularyOptions(), self.options.qc)
        genes = choose(
            vocabulary, self.train, self.test,
            sizes=self.options.n_genes, show=self.options.show_genes,
        )  # fmt: skip
        return vocabulary, genes

    def vocabulary(self, options: VocabularyOptions) -> GeneVocabulary:
        """The genes that become tokens."""
        from umpire_training.corpus.vocabulary import make_vocabulary

        key = digest_of(options)
        if key not in self._vocabularies:
            sources = [*(m.source for m in self.train), *self.extra]
            self._vocabularies[key] = make_vocabulary(sources, options, self.options.qc)
        return self._vocabularies[key]

    def pairs(self, method: MethodSettings) -> PairedSet:
        """The training slides as a paired set with the vocabulary and tokens of ``method``."""
        from umpire_training.corpus.paired import PairedSet, build_paired

        path = self._place("pairs", self._counts_of(method))
        if not path.is_dir():
            follow(
                build_paired(
                    [m.source for m in self.train],
                    self.vocabulary(method.vocabulary),
                    path,
                    patches=self.options.patches,
                    tokens=method.tokens,
                    qc=self.options.qc,
                    patches_from={m.name: m.patches for m in self.train},
                )
            )
        return replace(PairedSet.open(path), cache=self.cache)

    def encoder(self, method: MethodSettings, seed: int) -> Path:
        """Run folder of the gene encoder that the training counts pre-train."""
        from umpire_training.corpus.tokens import TokenCorpus, build_corpus
        from umpire_training.stages.pretrain import pretrain_encoder

        corpus = self._place("corpus", self._counts_of(method))
        if not corpus.is_dir():
            sources = [*(m.source for m in self.train), *self.extra]
            vocabulary = self.vocabulary(method.vocabulary)
            follow(
                build_corpus(sources, vocabulary, corpus, tokens=method.tokens, qc=self.options.qc)
            )
        said = {**self._counts_of(method), "pretrain": method.pretrain, "seed": seed}
        return pretrain_encoder(
            TokenCorpus.open(corpus),
            method.pretrain,
            folder=self._place("pretrain", said),
            seed=seed,
            resume=True,
        )

    @staticmethod
    def _counts_of(method: MethodSettings) -> dict[str, Any]:
        return {"vocabulary": method.vocabulary, "tokens": method.tokens}

    def _place(self, kind: str, said: dict[str, Any]) -> Path:
        """A folder of the fold; the settings that most rows share have the plain name."""
        if all(value == getattr(self.options, name) for name, value in said.items()):
            return self.folder / kind
        return self.folder / f"{kind}-{digest_of(*said.values())}"
