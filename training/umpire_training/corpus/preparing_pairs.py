"""The paired set of the slides that `prepare` has chosen; a later run goes on slide by slide."""

from __future__ import annotations

import os
import shutil
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from napari_umpire.errors import InputError
from napari_umpire.progress import run as run_steps
from umpire_training.corpus.building import read_json, write_json
from umpire_training.corpus.choice import LeftOut
from umpire_training.corpus.paired import write_pairs_json
from umpire_training.corpus.paired_slide import slide_folder, write_paired_slide
from umpire_training.corpus.pool import run_jobs
from umpire_training.corpus.preparing import failures
from umpire_training.corpus.survey import source_key

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_umpire.genes import GeneVocabulary
    from napari_umpire.progress import Steps
    from umpire_training.corpus.preparing import Failed, Surveyed
    from umpire_training.corpus.sources import Source
    from umpire_training.options import PatchOptions, QcOptions, TokenOptions

__all__ = ["make_pairs"]

_FACTS = "facts.json"


def make_pairs(
    surveyed: Surveyed,
    paired: Sequence[Source],
    vocabulary: GeneVocabulary,
    work: Path,
    target: Path,
    *,
    patches: PatchOptions,
    tokens: TokenOptions,
    qc: QcOptions,
    workers: int,
) -> Steps[list[Failed]]:
    """Write the paired set of those of ``paired`` that were chosen."""
    chosen = [s for s, _ in surveyed.kept if any(s is p for p in paired)]
    if not chosen:
        raise InputError(
            "No slide with an image is left for a paired set",
            got="; ".join(f"{e['name']}: {e['reason']}" for e in surveyed.left_out()[:3]) or "none",
            fix="Name other slides, or use --make tokens",
        )
    building = work / "pairs"
    building.mkdir(parents=True, exist_ok=True)
    depends = (qc, tokens, patches, vocabulary.digest)
    given = (vocabulary, building)
    jobs = [
        (s, *given, slide_folder(n, s.name), source_key(s, *depends), patches, tokens, qc)
        for n, s in enumerate(chosen)
    ]
    outcomes = yield from run_jobs(_pair, jobs, workers=workers, stage="pairs", unit="slides")
    failed = failures(chosen, outcomes)
    slides = [outcome.value for outcome in outcomes if not outcome.failed]
    if not slides:
        raise InputError("No slide could be paired", got=failed[0].problem)
    wanted = {slide["folder"] for slide in slides}
    for folder in (building / "slides").iterdir():
        if f"slides/{folder.name}" not in wanted:
            shutil.rmtree(folder)
        else:
            (folder / _FACTS).unlink(missing_ok=True)
    write_pairs_json(
        building,
        slides,
        vocabulary,
        patches=patches,
        tokens=tokens,
        qc=qc,
        left_out=[
            asdict(LeftOut(f.source.name, f.source.path, "failed", f.problem)) for f in failed
        ],
    )
    os.rename(building, target)
    return failed


def _pair(
    source: Source,
    vocabulary: GeneVocabulary,
    building: Path,
    inside: str,
    key: str,
    patches: PatchOptions,
    tokens: TokenOptions,
    qc: QcOptions,
) -> dict[str, Any]:
    out = building / inside
    if (out / _FACTS).is_file():
        facts = read_json(out / _FACTS, "paired slide", "paired slide")
        if facts.pop("key") == key:
            del facts["kind"]
            return facts
    making = out.with_name(f".{out.name}")
    for left in (out, making):
        shutil.rmtree(left, ignore_errors=True)
    facts = run_steps(
        write_paired_slide(source, vocabulary, making, patches=patches, tokens=tokens, qc=qc)
    )
    facts["folder"] = inside
    write_json(making / _FACTS, {"kind": "paired slide", "key": key, **facts})
    os.rename(making, out)
    return facts
