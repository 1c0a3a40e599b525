"""`umpire-train prepare`: a token corpus and a paired set from slides, counts and h5ad files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from umpire_training.options import PatchOptions, QcOptions, TokenOptions, VocabularyOptions

__all__ = ["Options", "run"]


@dataclass(kw_only=True)
class Options:
    """A token corpus and a paired set.

    Parameters
    ----------
    output
        Run folder; the corpus goes to its subfolder "corpus", the paired set to "pairs".
    slides
        Slides with image and counts, for both.
    counts
        More counts for the token corpus: h5ad files, count tables, slides.
    make
        What to make.
    vocabulary
        Gene vocabulary.
    qc
        Quality control of spots.
    tokens
        Tokens.
    patches
        Patches.
    mpp
        um per full-resolution px of all slides, where the files do not say.
    resume
        Continue the run in the output folder.
    """

    output: str
    slides: list[str] = field(default_factory=list)
    counts: list[str] = field(default_factory=list)
    make: Literal["both", "tokens", "pairs"] = "both"
    vocabulary: VocabularyOptions = field(default_factory=VocabularyOptions)
    qc: QcOptions = field(default_factory=QcOptions)
    tokens: TokenOptions = field(default_factory=TokenOptions)
    patches: PatchOptions = field(default_factory=PatchOptions)
    mpp: float | None = None
    resume: bool = False


def run(options: Options) -> None:
    """Prepare in a run folder."""
    from napari_umpire.errors import InputError
    from umpire_training.console import follow
    from umpire_training.corpus.paired import build_paired
    from umpire_training.corpus.sources import SlideSource, open_sources
    from umpire_training.corpus.tokens import build_corpus
    from umpire_training.corpus.vocabulary import make_vocabulary, read_vocabulary
    from umpire_training.run_folder import RunFolder, logger

    sources = open_sources(options.slides, options.counts, mpp=options.mpp)
    slides = [source for source in sources if isinstance(source, SlideSource)]
    paired = [source for source in slides if source.path in options.slides]
    if options.make in ("both", "pairs") and not paired:
        raise InputError(
            "A paired set needs slides with an image", fix="Name slides, or use --make tokens"
        )
    if options.vocabulary.path is not None:
        read_vocabulary(options.vocabulary.path)
    folder = RunFolder(options.output, verb="prepare", options=options, resume=options.resume)
    with folder:
        corpus, pairs = folder.path / "corpus", folder.path / "pairs"
        vocabulary = make_vocabulary(sources, options.vocabulary, options.qc)
        logger.info("vocabulary of %d genes (%s)", vocabulary.n_genes, vocabulary.source)
        done = {}
        if options.make in ("both", "tokens"):
            if not corpus.is_dir():
                follow(
                    build_corpus(sources, vocabulary, corpus, tokens=options.tokens, qc=options.qc)
                )
            done["corpus"] = str(corpus)
            logger.info("token corpus %s", corpus)
        if options.make in ("both", "pairs"):
            if not pairs.is_dir():
                follow(
                    build_paired(
                        paired,
                        vocabulary,
                        pairs,
                        patches=options.patches,
                        tokens=options.tokens,
                        qc=options.qc,
                    )
                )
            done["pairs"] = str(pairs)
            logger.info("paired set %s", pairs)
        folder.finish(**done)
