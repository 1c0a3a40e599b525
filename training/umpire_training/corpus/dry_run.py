"""What `prepare --dry_run` says: every source opened and read, nothing written."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from napari_umpire.errors import InputError
from umpire_training.console import follow, say, write_out
from umpire_training.corpus.pool import run_jobs
from umpire_training.corpus.preparing import survey_sources, with_vocabulary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from umpire_training.corpus.exclusion import ExcludeList
    from umpire_training.corpus.sources import Source
    from umpire_training.options import ChoiceOptions, QcOptions, VocabularyOptions

__all__ = ["report"]

COLUMNS = (
    "section", "layout", "species", "technology", "spots", "good", "beside_tissue", "columns",
    "in_vocabulary", "image", "taken", "content", "path",
)  # fmt: skip


def report(
    paired: Sequence[Source],
    single: Sequence[Source],
    exclude: ExcludeList,
    *,
    choice: ChoiceOptions,
    qc: QcOptions,
    vocabulary: VocabularyOptions,
    workers: int,
) -> int:
    """Print a table with tabs, a row per section, and what is wrong; the exit code of `prepare`.

    The column ``content`` holds the digests that an exclusion list takes.
    """
    from umpire_training.corpus.vocabulary import surveyed_vocabulary

    given, nothing = None, ""
    sources = [*paired, *single]
    with tempfile.TemporaryDirectory() as work:
        surveyed = follow(
            survey_sources(sources, exclude, qc=qc, choice=choice, workers=workers, work=Path(work))
        )
        pictures = follow(
            run_jobs(_picture, [(s,) for s in paired], workers=workers, stage="images")
        )
        image = {id(s): p for s, p in zip(paired, pictures, strict=True)}
        reasons = {(e.name, e.path): e.why for e in surveyed.choice.left_out}
        if surveyed.choice.kept:
            try:
                genes = surveyed_vocabulary(surveyed.kept, vocabulary, qc)
            except InputError as error:
                nothing = str(error)
            else:
                before = len(surveyed.failed)
                surveyed = with_vocabulary(surveyed, genes)
                late = surveyed.failed[before:]
                reasons |= {(f.source.name, f.source.path): "no gene in common" for f in late}
                given = genes if vocabulary.path is not None else None
        _line(*COLUMNS)
        for source, survey in zip(surveyed.sources, surveyed.surveys, strict=True):
            picture = image.get(id(source))
            mapped = "" if given is None else str(given.map(survey.genes()).n_mapped)
            _line(
                survey.name,
                survey.layout,
                survey.species or "not told",
                survey.technology,
                survey.n_spots,
                survey.n_good,
                survey.n_outside,
                survey.n_columns,
                mapped,
                "" if picture is None else "failed" if picture.failed else picture.value,
                reasons.get((survey.name, survey.path), "yes"),
                survey.content.digest,
                survey.path,
            )
    for text in (*surveyed.warned, *surveyed.choice.notes):
        say(f"warning: {text}")
    problems = [(f.source.path, f.problem, f.trace) for f in surveyed.failed]
    read = {id(s) for s in surveyed.sources}
    problems += [
        (s.path, p.problem, p.trace)
        for s, p in zip(paired, pictures, strict=True)
        if p.failed and id(s) in read
    ]
    for path, problem, _ in problems:
        say(f"{path}: {problem}")
    good = sum(s.n_good for _, s in surveyed.kept)
    say(
        f"{len(surveyed.kept)} of {len(sources)} sections would be taken, with {good:,} spots; "
        f"{len(surveyed.choice.left_out)} left out, {len(surveyed.failed)} failed. "
        "Nothing was written."
    )
    if nothing:
        say(nothing)
    if not problems:
        return 0 if surveyed.choice.kept and not nothing else 2
    return 1 if any(trace for _, _, trace in problems) else 2


def _picture(source: Source) -> str:
    images = source.images()
    return f"{len(images.spots):,} spots, {images.mpp_source}"


def _line(*values: object) -> None:
    write_out("\t".join(" ".join(str(v).split()) for v in values))
