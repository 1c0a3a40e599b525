"""What `prepare` does, in steps that a later run goes on from.

1. survey: each source is read once, in parallel; what it tells is kept in work/surveys.
2. choose: exclusion, species, duplicates; here nothing is read.
3. vocabulary: given, or of the sums of the chosen surveys.
4. tokens: each chosen source is tokenised, in parallel, to work/pieces; then joined to shards.
5. pairs: each chosen slide's patches and counts, in parallel, to work/pairs: `preparing_pairs`.

A result is found again by what it depends on: the source's path, size and time, and the options.
So an interrupted run does not repeat what is finished, and the output is the same for any number
of workers and of interruptions.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from napari_umpire.errors import InputError
from umpire_training.corpus.building import read_json, write_json
from umpire_training.corpus.choice import Choice, LeftOut, choose
from umpire_training.corpus.pool import Outcome, run_jobs
from umpire_training.corpus.survey import Survey, source_key, survey_source
from umpire_training.corpus.token_files import Piece, read_piece, write_piece
from umpire_training.corpus.tokens import fill_corpus

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_umpire.genes import GeneVocabulary
    from napari_umpire.progress import Steps
    from umpire_training.corpus.exclusion import ExcludeList
    from umpire_training.corpus.sources import Source
    from umpire_training.options import ChoiceOptions, QcOptions, TokenOptions

__all__ = ["Failed", "Surveyed", "failures", "make_corpus", "survey_sources", "with_vocabulary"]


@dataclass(frozen=True)
class Failed:
    """A source that could not be read; ``trace`` "" where its input was at fault."""

    source: Source
    problem: str
    trace: str


@dataclass
class Surveyed:
    """What is known of the sources after the first pass.

    Attributes
    ----------
    sources, surveys
        Those that could be read, in their order.
    choice
        Which of them are taken.
    failed
        The others.
    warned
        What the user should know, as it came up.
    """

    sources: list[Source]
    surveys: list[Survey]
    choice: Choice
    failed: list[Failed] = field(default_factory=list)
    warned: list[str] = field(default_factory=list)

    @property
    def kept(self) -> list[tuple[Source, Survey]]:
        """The sources that are taken."""
        return [(self.sources[i], self.surveys[i]) for i in self.choice.kept]

    def left_out(self) -> list[dict[str, str]]:
        """Everything that is not taken, for the card."""
        failed = [LeftOut(f.source.name, f.source.path, "failed", f.problem) for f in self.failed]
        return [asdict(entry) for entry in (*self.choice.left_out, *failed)]


def survey_sources(
    sources: Sequence[Source],
    exclude: ExcludeList,
    *,
    qc: QcOptions,
    choice: ChoiceOptions,
    workers: int,
    work: Path,
) -> Steps[Surveyed]:
    """Read every source once and choose.

    Parameters
    ----------
    work
        Where surveys are kept, and found again.

    Raises
    ------
    InputError
        What `choose` raises; an excluded slide that cannot be read, because its content could then
        not be kept out.
    """
    kept = work / "surveys"
    kept.mkdir(parents=True, exist_ok=True)
    jobs = [(s, qc, kept / f"{source_key(s, qc)}.npz") for s in (*sources, *exclude.sources)]
    outcomes = yield from run_jobs(_survey, jobs, workers=workers, stage="reading")
    for source, outcome in zip(exclude.sources, outcomes[len(sources) :], strict=True):
        if outcome.failed:
            raise InputError(
                f"The excluded section {source.path} cannot be read, so its copies cannot be found",
                got=outcome.problem,
                fix="Mend --exclude",
            )
    good = [i for i in range(len(sources)) if not outcomes[i].failed]
    surveys = [outcomes[i].value for i in good]
    excluded = [outcome.value for outcome in outcomes[len(sources) :]]
    chosen = choose(surveys, choice, exclude, excluded)
    return Surveyed(
        [sources[i] for i in good],
        surveys,
        chosen,
        failures(sources, outcomes[: len(sources)]),
        [w for outcome in outcomes for w in outcome.warned],
    )


def with_vocabulary(surveyed: Surveyed, vocabulary: GeneVocabulary) -> Surveyed:
    """What is left where the chosen sources without a gene of ``vocabulary`` are failures."""
    from napari_umpire.genes import require_mapped

    kept, failed = [], []
    shared: dict[int, bool] = {}
    for i, (source, survey) in zip(surveyed.choice.kept, surveyed.kept, strict=True):
        genes = survey.genes()
        # The sections of a collection have the same columns.
        key = hash((*genes.index, *genes["id"], *genes["symbol"]))
        if shared.get(key):
            kept.append(i)
            continue
        try:
            require_mapped(vocabulary.map(genes), where=source.path, other="the vocabulary")
        except InputError as error:
            failed.append(Failed(source, str(error), ""))
        else:
            shared[key] = True
            kept.append(i)
    choice = replace(surveyed.choice, kept=tuple(kept))
    return replace(surveyed, choice=choice, failed=[*surveyed.failed, *failed])


def _survey(source: Source, qc: QcOptions, place: Path) -> Survey:
    return Survey.load(place) or survey_source(source, qc, place)


def make_corpus(
    surveyed: Surveyed,
    vocabulary: GeneVocabulary,
    work: Path,
    target: Path,
    *,
    tokens: TokenOptions,
    qc: QcOptions,
    shard_spots: int,
    workers: int,
) -> Steps[list[Failed]]:
    """Tokenise the chosen sources and join them to the corpus ``target``.

    Returns
    -------
    Sources that could be surveyed and not be tokenised; the corpus is without them.
    """
    kept = surveyed.kept
    pieces, building = work / "pieces", work / "corpus"
    pieces.mkdir(parents=True, exist_ok=True)
    depends = (qc, tokens, vocabulary.digest)
    places = [pieces / source_key(source, *depends) for source, _ in kept]
    _same_plan(building, [place.name for place in places], shard_spots, pieces)
    _require_room(sum(s.n_good for _, s in kept) * tokens.length * 2, work)
    jobs = [
        (source, place, vocabulary, tokens, qc)
        for (source, _), place in zip(kept, places, strict=True)
    ]
    outcomes = yield from run_jobs(_tokenise, jobs, workers=workers, stage="tokens")
    failed = failures([source for source, _ in kept], outcomes)
    good = [i for i, outcome in enumerate(outcomes) if not outcome.failed]
    if not good:
        raise InputError("No source could be turned into tokens", got=failed[0].problem)
    later = [LeftOut(f.source.name, f.source.path, "failed", f.problem) for f in failed]
    if failed:
        _same_plan(building, [places[i].name for i in good], shard_spots, pieces)
    yield from fill_corpus(
        building,
        [Piece(places[i], outcomes[i].value) for i in good],
        vocabulary,
        tokens=tokens,
        qc=qc,
        shard_spots=shard_spots,
        surveyed=[_told(kept[i][1]) for i in good],
        left_out=[*surveyed.left_out(), *(asdict(entry) for entry in later)],
    )
    (building / _PLAN).unlink()
    os.rename(building, target)
    return failed


_PLAN = "plan.json"


def _same_plan(building: Path, keys: list[str], shard_spots: int, pieces: Path) -> None:
    """Start the shards anew where they would be of other pieces than in an attempt before."""
    plan = {"kind": "plan", "pieces": keys, "shard_spots": shard_spots}
    path = building / _PLAN
    if path.is_file() and read_json(path, "plan", "plan") == plan:
        return
    shutil.rmtree(building, ignore_errors=True)
    for note in pieces.glob("*.json"):
        # Its tokens went into a shard that is gone now.
        if not note.with_suffix(".npy").is_file():
            note.unlink()
    building.mkdir()
    write_json(path, plan)


def _tokenise(
    source: Source, place: Path, vocabulary: GeneVocabulary, tokens: TokenOptions, qc: QcOptions
) -> dict[str, Any]:
    found = read_piece(place)
    if found is not None:
        return found.facts
    return write_piece(source, place, vocabulary, tokens, qc)


def _told(survey: Survey) -> dict[str, Any]:
    facts = survey.facts()
    return {k: facts[k] for k in ("species", "technology", "n_outside", "n_counts", "content")}


def failures(sources: Sequence[Source], outcomes: Sequence[Outcome]) -> list[Failed]:
    """The sources whose work failed, and why."""
    return [
        Failed(source, outcome.problem, outcome.trace)
        for source, outcome in zip(sources, outcomes, strict=True)
        if outcome.failed
    ]


def _require_room(n_bytes: int, work: Path) -> None:
    """Refuse before the work what the disk cannot hold; what is made already counts as room."""
    made = sum(p.stat().st_size for p in work.rglob("*.npy"))
    room, needed = shutil.disk_usage(work).free + made, n_bytes * 1.05
    if needed > room:
        raise InputError(
            f"There is no room for the corpus on the disk of {work.parent}",
            got=f"{room / 1e9:.1f} GB",
            expected=f"{needed / 1e9:.1f} GB",
            fix="Make room, or choose another --output",
        )
