"""`umpire-train prepare`: a token corpus and a paired set from slides, counts and collections."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from umpire_training.options import (
    ChoiceOptions,
    PatchOptions,
    QcOptions,
    TokenOptions,
    VocabularyOptions,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from umpire_training.corpus.exclusion import ExcludeList
    from umpire_training.corpus.preparing import Failed, Surveyed
    from umpire_training.corpus.sources import Source

__all__ = ["Options", "run"]


@dataclass(kw_only=True)
class Options(ChoiceOptions):
    """A token corpus and a paired set.

    Parameters
    ----------
    output
        Run folder; the corpus goes to its subfolder "corpus", the paired set to "pairs".
    slides
        Slides with image and counts, for both: Space Ranger folders, SpatialData stores, legacy ST
        sections, HEST-1k and STImage-1K4M folders.
    counts
        More counts for the token corpus: h5ad files, count tables, slides, collections.
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
    shard_spots
        Spots of a file of tokens.
    mpp
        um per full-resolution px of all slides, where the files do not say.
    workers
        Processes that read sources at the same time; the output does not depend on it.
    dry_run
        Open and read everything, report, and write nothing.
    resume
        Continue the run in the output folder.
    """

    output: str = ""
    slides: list[str] = field(default_factory=list)
    counts: list[str] = field(default_factory=list)
    make: Literal["both", "tokens", "pairs"] = "both"
    vocabulary: VocabularyOptions = field(default_factory=VocabularyOptions)
    qc: QcOptions = field(default_factory=QcOptions)
    tokens: TokenOptions = field(default_factory=TokenOptions)
    patches: PatchOptions = field(default_factory=PatchOptions)
    shard_spots: int = 131_072
    mpp: float | None = None
    workers: int = 1
    dry_run: bool = False
    resume: bool = False


def run(options: Options) -> int:
    """Prepare in a run folder; 0, or 2 where a source was at fault, or 1 where one failed else."""
    import shutil
    from pathlib import Path

    from napari_umpire.errors import InputError
    from umpire_training.corpus.exclusion import read_exclude
    from umpire_training.corpus.finding import find_sources
    from umpire_training.corpus.vocabulary import read_vocabulary
    from umpire_training.run_folder import RunFolder, logger

    _check(options)
    paired, single = find_sources(options.slides, options.counts, mpp=options.mpp)
    if options.make in ("both", "pairs") and not paired and not options.dry_run:
        raise InputError(
            "A paired set needs slides with an image", fix="Name slides, or use --make tokens"
        )
    exclude = read_exclude(options.exclude)
    if options.vocabulary.path is not None:
        read_vocabulary(options.vocabulary.path)
    if options.dry_run:
        from umpire_training.corpus.dry_run import report

        return report(
            paired,
            single,
            exclude,
            choice=options,
            qc=options.qc,
            vocabulary=options.vocabulary,
            workers=options.workers,
        )
    # Until the output is there, what was read so far serves any other choice among it.
    choices = ("exclude", "renamed", "species", "technologies")
    made = any((Path(options.output) / name).is_dir() for name in ("corpus", "pairs"))
    folder = RunFolder(
        options.output,
        verb="prepare",
        options=options,
        resume=options.resume,
        may_change=() if made else choices,
    )
    with folder:
        if folder.finished:
            logger.info("this run is finished already")
            return 0
        work = folder.path / "work"
        try:
            failed, done = _prepare(paired, single, exclude, options, folder.path)
        except BaseException:
            # A run refused at its start leaves nothing; one that is cut off leaves what it read.
            if not any(p.is_file() for p in work.rglob("*")):
                shutil.rmtree(work, ignore_errors=True)
            raise
        shutil.rmtree(work)
        folder.finish(**done, failed=[f.source.path for f in failed])
        if not failed:
            return 0
        logger.info(
            "%d of %d sources failed: %s",
            len(failed),
            len(paired) + len(single),
            ", ".join(f.source.path for f in failed),
        )
        return 1 if any(f.trace for f in failed) else 2


def _check(options: Options) -> None:
    from napari_umpire.errors import InputError
    from umpire_training.options.ranges import check_ranges

    if not options.output and not options.dry_run:
        raise InputError(
            "prepare needs --output", fix="Name a new folder, or only look with --dry_run"
        )
    check_ranges(options)


def _prepare(
    paired: Sequence[Source],
    single: Sequence[Source],
    exclude: ExcludeList,
    options: Options,
    folder: Path,
) -> tuple[list[Failed], dict[str, str]]:
    """Make what is not there yet; what failed, and what was made."""
    from umpire_training.console import follow
    from umpire_training.corpus.preparing import make_corpus, survey_sources, with_vocabulary
    from umpire_training.corpus.preparing_pairs import make_pairs
    from umpire_training.corpus.vocabulary import surveyed_vocabulary
    from umpire_training.run_folder import logger

    work = folder / "work"
    sources = [*paired, *single]
    surveyed = follow(
        survey_sources(
            sources, exclude, qc=options.qc, choice=options, workers=options.workers, work=work
        )
    )
    _tell(surveyed, len(sources))
    vocabulary = surveyed_vocabulary(surveyed.kept, options.vocabulary, options.qc)
    logger.info("vocabulary of %d genes (%s)", vocabulary.n_genes, vocabulary.source)
    before = len(surveyed.failed)
    surveyed = with_vocabulary(surveyed, vocabulary)
    _report(surveyed.failed[before:])
    _require_some(surveyed)
    failed, done = list(surveyed.failed), {}
    if options.make in ("both", "tokens"):
        corpus = folder / "corpus"
        if not corpus.is_dir():
            later = follow(
                make_corpus(
                    surveyed,
                    vocabulary,
                    work,
                    corpus,
                    tokens=options.tokens,
                    qc=options.qc,
                    shard_spots=options.shard_spots,
                    workers=options.workers,
                )
            )
            _report(later)
            failed += later
        done["corpus"] = str(corpus)
        logger.info("token corpus %s", corpus)
    if options.make in ("both", "pairs"):
        pairs = folder / "pairs"
        if not pairs.is_dir():
            later = follow(
                make_pairs(
                    surveyed,
                    paired,
                    vocabulary,
                    work,
                    pairs,
                    patches=options.patches,
                    tokens=options.tokens,
                    qc=options.qc,
                    workers=options.workers,
                )
            )
            _report(later)
            failed += [f for f in later if all(f.source is not g.source for g in failed)]
        done["pairs"] = str(pairs)
        logger.info("paired set %s", pairs)
    return failed, done


def _tell(surveyed: Surveyed, n_sources: int) -> None:
    """Log what the first pass found; stop where it leaves nothing."""
    from napari_umpire.errors import InputError
    from umpire_training.run_folder import logger

    for text in (*surveyed.warned, *surveyed.choice.notes):
        logger.warning("warning: %s", text)
    if n_sources == 1 and surveyed.failed and not surveyed.failed[0].trace:
        raise InputError(surveyed.failed[0].problem)
    _report(surveyed.failed)
    for entry in surveyed.choice.left_out:
        logger.info("left out: %s (%s). %s", entry.name, entry.why, entry.reason)
    _require_some(surveyed)
    good = sum(survey.n_good for _, survey in surveyed.kept)
    seen = sum(survey.n_spots for _, survey in surveyed.kept)
    logger.info(
        "%d of %d sections, %d of their %d spots passed quality control",
        len(surveyed.kept), n_sources, good, seen,
    )  # fmt: skip


def _require_some(surveyed: Surveyed) -> None:
    from napari_umpire.errors import InputError

    if not surveyed.choice.kept:
        said = [f"{e['name']}: {e['reason']}" for e in surveyed.left_out()]
        raise InputError(
            "No source is left to prepare",
            got="; ".join(said[:3]) + (f"; and {len(said) - 3} more" if len(said) > 3 else ""),
            fix="Name other sources, or change what leaves them out",
        )


def _report(failed: Sequence[Failed]) -> None:
    from umpire_training.run_folder import logger

    for each in failed:
        logger.warning("%s: %s", each.source.path, each.problem)
        if each.trace:
            logger.warning(each.trace, extra={"file_only": True})
