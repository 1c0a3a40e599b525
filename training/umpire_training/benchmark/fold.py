"""One fold: train its rows on all slides but the held-out ones, score them beside the controls."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_umpire.files import make_folder, replace_file
from umpire_training.baselines.fold import ControlFold, Section
from umpire_training.benchmark.controls import control_rows
from umpire_training.benchmark.methods import slug
from umpire_training.benchmark.places import place_name
from umpire_training.benchmark.row import run_row
from umpire_training.benchmark.scoring import over_seeds, score, score_slide
from umpire_training.run_folder import logger

if TYPE_CHECKING:
    from napari_umpire.genes import GeneVocabulary
    from umpire_training.benchmark.genes import ScoredGenes
    from umpire_training.benchmark.methods import Method
    from umpire_training.benchmark.row import Measure
    from umpire_training.benchmark.sections import Measured
    from umpire_training.benchmark.shared import FoldWork

__all__ = ["measured_file", "row_folder", "run_fold"]


def run_fold(
    work: FoldWork,
    methods: list[Method],
    *,
    alone: bool = False,
    keep: bool = True,
    measure: Measure | None = None,
) -> list[dict[str, Any]]:
    """Run or resume a fold; each row that was done before is read.

    Parameters
    ----------
    alone
        There is one row with one seed, and its model lies in the fold's folder itself.
    keep
        Keep models, references and checkpoints; else they go once the fold is done.
    measure
        See `run_row`.

    Returns
    -------
    One per held-out slide: what is written to its scores.json.
    """
    files = {m.name: _scores_file(work, m.name) for m in work.test}
    rows = [f"{method.name} {seed}" for method in methods for seed in method.seeds]
    if all(path.is_file() for path in files.values()):
        found = [json.loads(path.read_text(encoding="utf-8")) for path in files.values()]
        if all(result["trainings"] == rows for result in found):
            return found
    started = time.monotonic()
    logger.info("fold %s: training on %s", work.split.name, ", ".join(m.name for m in work.train))
    vocabulary, genes = work.scored()
    ran = {
        method.name: [
            _run(work, genes, methods, method, seed, alone=alone, keep=keep, measure=measure)
            for seed in method.seeds
        ]
        for method in methods
    }
    results = []
    for test in work.test:
        result = _scores(work, test, vocabulary, genes, ran)
        result |= {"trainings": rows, "seconds": round(time.monotonic() - started, 1)}
        make_folder(files[test.name].parent)
        with replace_file(measured_file(work.folder, test.name)) as written:
            np.save(written, genes.test[test.name])
        with replace_file(files[test.name]) as written:
            written.write_text(json.dumps(result, indent=1), encoding="utf-8")
        logger.info("slide %s done: %s", test.name, _brief(result["rows"]))
        results.append(result)
    if not keep:
        for folder in (work.folder / "rows").glob("*/model"):
            shutil.rmtree(folder)
    return results


def _run(
    work: FoldWork,
    genes: ScoredGenes,
    methods: list[Method],
    method: Method,
    seed: int,
    *,
    alone: bool,
    keep: bool,
    measure: Measure | None,
) -> dict[str, Any]:
    """One training of a row, which may go on from that of an earlier one."""

    def place(name: str) -> Path:
        return work.folder if alone else row_folder(work.folder, name, seed)

    start = method.settings.start
    if start:
        earlier = {m.name for m in methods}
        base = place(start) / "model" if start in earlier else Path(start)
    after = [m for m in methods if m.settings.start == method.name and seed in m.seeds]
    return run_row(
        work,
        genes,
        method,
        seed,
        place(method.name),
        start=base if start else None,
        keep=keep,
        wanted=any(not (place(m.name) / "row.json").is_file() for m in after),
        measure=measure,
    )


def measured_file(fold: Path, slide: str) -> Path:
    """Where a fold keeps what was measured of a held-out slide, (n_spots, n_scored) float32."""
    return fold / f"measured-{place_name(slide)}.npy"


def row_folder(fold: Path, name: str, seed: int) -> Path:
    """Where a row of several keeps the training with ``seed``."""
    return fold / "rows" / f"{slug(name)}-{seed}"


def _scores_file(work: FoldWork, slide: str) -> Path:
    folder = work.folder if len(work.test) == 1 else work.folder / place_name(slide)
    return folder / "scores.json"


def _scores(
    work: FoldWork,
    test: Measured,
    vocabulary: GeneVocabulary,
    genes: ScoredGenes,
    ran: dict[str, list[dict[str, Any]]],
) -> dict[str, Any]:
    """The entry of one held-out slide: its rows, then its controls."""
    from umpire_training.baselines.ridge import colour_ridge

    fold = ControlFold(
        tuple(Section(m.name, genes.train[m.name], m.colour, m.position) for m in work.train),
        Section(test.name, genes.test[test.name], test.colour, test.position),
    )
    mine = {name: [one["slides"][test.name] for one in seeds] for name, seeds in ran.items()}
    for seeds in ran.values():
        for row in seeds[0]["decoded"]:
            mine[row] = [one["decoded"][row][test.name] for one in seeds]
    rows: dict[str, Any] = {
        name: {s: over_seeds([one["sets"][s] for one in seeds]) for s in genes.sets}
        for name, seeds in mine.items()
    }
    rows |= control_rows(
        fold,
        test.counts,
        _columns_of(test, vocabulary, genes),
        genes.sets,
        score,
        permutations=work.options.permutations,
        seed=work.options.seed,
    )
    mine["colour-feature ridge"] = [score_slide(colour_ridge(fold), test.name, genes)]
    return {
        "slide": test.name,
        "fold": work.split.name,
        "n_spots": len(genes.test[test.name]),
        "train": {m.name: int(m.counts.shape[0]) for m in work.train},
        "genes": {
            name: [genes.symbols[i] or genes.ids[i] for i in columns]
            for name, columns in genes.sets.items()
        },
        "scored": genes.ids,
        "shown_places": genes.shown,
        "rows": rows,
        "squared_error": {
            name: {
                s: {key: float(np.mean([one["error"][s][key] for one in seeds])) for key in error}
                for s, error in seeds[0]["error"].items()
            }
            for name, seeds in mine.items()
        },
        "shown_genes": {
            name: {g: float(np.mean([one["shown"][g] for one in seeds])) for g in genes.shown}
            for name, seeds in mine.items()
        },
        "trained": {
            name: [
                {key: one[key] for key in ("seed", "seconds", "parameters", "more")}
                for one in seeds
            ]
            for name, seeds in ran.items()
        },
    }


def _columns_of(test: Measured, vocabulary: GeneVocabulary, genes: ScoredGenes) -> np.ndarray:
    """Column of each scored gene in the held-out counts; the first where several are one gene."""
    index = vocabulary.map(test.source.slide.genes).index
    first = {int(gene): column for column, gene in reversed(list(enumerate(index)))}
    return np.array([first[int(gene)] for gene in genes.indices])


def _brief(rows: dict[str, Any]) -> str:
    return "; ".join(
        f"{name} " + " / ".join(f"{entry['mean']:.3f}" for entry in row.values())
        for name, row in rows.items()
        if "skipped" not in row
    )
