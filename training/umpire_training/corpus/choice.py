"""Which of the surveyed sections go into a corpus, and why the others do not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_umpire.errors import InputError
from umpire_training.corpus.content import overlaps
from umpire_training.corpus.species import HUMAN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from umpire_training.corpus.content import Content
    from umpire_training.corpus.exclusion import ExcludeList
    from umpire_training.corpus.survey import Survey
    from umpire_training.options import ChoiceOptions

__all__ = ["PART_SHARE", "SAME_SHARE", "Choice", "LeftOut", "choose"]

SAME_SHARE = 0.5
"""Sections that share this many spots are the same one."""

PART_SHARE = 0.05
"""Sections that share fewer are strangers; two different sections share below 1 %."""


@dataclass(frozen=True)
class LeftOut:
    """One section that is not taken; ``why`` in a word or two, ``reason`` in a sentence."""

    name: str
    path: str
    why: str
    reason: str


@dataclass(frozen=True)
class Choice:
    """What is taken.

    Attributes
    ----------
    kept
        Places in the list of surveys.
    left_out
        The others, in their order.
    notes
        What the user should look at.
    """

    kept: tuple[int, ...]
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]


def choose(
    surveys: Sequence[Survey],
    options: ChoiceOptions,
    exclude: ExcludeList,
    excluded: Sequence[Survey],
) -> Choice:
    """Leave out other species, empty sections, the excluded and all but the first of duplicates.

    Parameters
    ----------
    surveys
        In the order of the sources, on which the choice among duplicates depends.
    excluded
        Of ``exclude.sources``.

    Raises
    ------
    InputError
        A section that is an excluded one under another name, where ``options.renamed`` is "fail";
        one that shares a part of its spots with an excluded one.
    """
    out: dict[int, LeftOut] = {}
    notes: list[str] = []

    def leave(i: int, why: str, reason: str) -> None:
        out.setdefault(i, LeftOut(surveys[i].name, surveys[i].path, why, reason))

    _leave_excluded(surveys, options, exclude, excluded, leave, notes)
    for i, survey in enumerate(surveys):
        if options.species == HUMAN and survey.species not in (HUMAN, ""):
            leave(i, "other species", f"It is of {survey.species}, not human.")
        wanted = {t.lower() for t in options.technologies}
        if wanted and survey.technology and survey.technology.lower() not in wanted:
            leave(i, "other technology", f"It was measured with {survey.technology}.")
        if not survey.n_good:
            reason = f"None of its {survey.n_spots:,} spots passed quality control."
            leave(i, "no good spots", reason)
    candidates = [i for i in range(len(surveys)) if i not in out]
    for pair in overlaps([surveys[i].content for i in candidates], PART_SHARE):
        first, second = candidates[pair.first], candidates[pair.second]
        if first in out or second in out:
            continue
        names = surveys[first].name, surveys[second].name
        if pair.share >= SAME_SHARE:
            leave(second, "duplicate", f"It shares {pair.share:.0%} of its spots with {names[0]}.")
        else:
            notes.append(
                f"{names[1]} shares {pair.share:.0%} of its spots with {names[0]}; both are kept"
            )
    kept = tuple(i for i in range(len(surveys)) if i not in out)
    return Choice(kept, tuple(out[i] for i in sorted(out)), tuple(notes))


def _leave_excluded(
    surveys: Sequence[Survey],
    options: ChoiceOptions,
    exclude: ExcludeList,
    excluded: Sequence[Survey],
    leave: Callable[[int, str, str], None],
    notes: list[str],
) -> None:
    """Apply the exclusion list; `choose` says how."""
    names = exclude.names | {s.name.lower() for s in excluded}
    own = {i for i, s in enumerate(surveys) if s.name.lower() in names}
    for i in sorted(own):
        leave(i, "excluded", "It is on the exclusion list.")
    # What is named and here is known by its content too, under whatever other names.
    known: list[tuple[str, Content]] = [(s.name, s.content) for s in excluded]
    known += [(surveys[i].name, surveys[i].content) for i in sorted(own)]
    others = [i for i in range(len(surveys)) if i not in own]
    found: dict[int, tuple[str, float]] = {}
    for i in others:
        if surveys[i].content.digest in exclude.digests:
            name = exclude.digests[surveys[i].content.digest]
            if not name:
                leave(i, "excluded", "Its content is on the exclusion list.")
                continue
            found[i] = name, 1.0
    contents = [content for _, content in known] + [surveys[i].content for i in others]
    for pair in overlaps(contents, PART_SHARE):
        if pair.first < len(known) <= pair.second:
            i = others[pair.second - len(known)]
            if pair.share > found.get(i, ("", 0.0))[1]:
                found[i] = known[pair.first][0], pair.share
    problems = []
    for i, (name, share) in sorted(found.items()):
        said = f"{surveys[i].name} ({surveys[i].path}) shares {share:.0%} of its spots with {name}"
        if share < SAME_SHARE or options.renamed == "fail":
            problems.append(said)
        else:
            leave(i, "excluded", f"It is {name} under another name, sharing {share:.0%} of spots.")
            notes.append(f"{said}, which is excluded, and is left out")
    if problems:
        raise InputError(
            "An excluded section is among the sources under another name",
            got="; ".join(problems[:5])
            + (f"; and {len(problems) - 5} more" if len(problems) > 5 else ""),
            fix="Add these names to the exclusion list, or, for those that share half of their "
            "spots or more, give --renamed leave_out",
        )
