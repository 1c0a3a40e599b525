"""Figure 5: slide status by ABMIL on what each row's image encoder says of the tiles."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_umpire.errors import InputError
from napari_umpire.files import make_folder, replace_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_umpire.slides.slide import Slide
    from umpire_training.benchmark.methods import Method
    from umpire_training.benchmark.tables.rows import Rows
    from umpire_training.corpus.patients import Patients
    from umpire_training.options.mil import MilSettings
    from umpire_training.verbs.benchmark import Options

__all__ = ["ALONE", "prepare"]

ALONE = "image encoder alone"
"""The row whose tiles are read before the projection, as the first row's encoder sees them."""


def prepare(options: Options, methods: list[Method]) -> Callable[[Path, str], str]:
    """See `PaperTable`."""
    from umpire_training.benchmark.tables.rows import prepare_rows
    from umpire_training.corpus.patients import read_patients
    from umpire_training.corpus.whole_slides import slides_by_name
    from umpire_training.stages.mil import check_settings
    from umpire_training.stages.mil_folds import check_folds
    from umpire_training.stages.same_start import digest_parts

    check_settings(options.status)
    if options.status_labels is None or not options.status_slides:
        raise InputError(
            "figure-5 needs slides with a status",
            expected="slides, and a CSV with the columns slide, patient, label",
            fix="Give them with --status_slides and --status_labels",
        )
    rows = prepare_rows(options, methods, scored=False)
    slides = slides_by_name(options.status_slides, options.mpp)
    patients = read_patients(options.status_labels, slides)
    said = [slide.digest for slide in slides.values()]
    status = digest_parts(patients.to_frame().to_csv(index=False), *said)
    rows = rows.beginning_with("status", status, "table of status, or a slide it names,")
    folds = check_folds(patients.codes, patients.classes, options.status.validation.folds)

    def work(folder: Path, command: str) -> str:
        from umpire_training.benchmark.writing import write_csv, write_lines

        found = _all_rows(rows, slides, patients, folds, folder)
        frame = pd.DataFrame(found)
        write_csv(folder / "figure-5.csv", frame)
        _draw(frame, folder / "figure-5.png")
        lines = _report(frame, rows, slides, patients, folds, command)
        return write_lines(folder / "figure-5.md", lines)

    return work


def _all_rows(
    rows: Rows, slides: dict[str, Slide], patients: Patients, folds: int, folder: Path
) -> list[dict[str, Any]]:
    """Scores of every row and seed; those of an earlier run are read."""
    from napari_umpire.inference.cache import FeatureCache
    from umpire_training.benchmark.leave_out import measured_slides
    from umpire_training.benchmark.methods import slug
    from umpire_training.benchmark.row import train_row
    from umpire_training.benchmark.shared import FoldWork
    from umpire_training.benchmark.splits import Split

    options = rows.options
    measured = measured_slides(rows.plan, options, folder)
    cache = FeatureCache(folder / "features")
    split = Split("all", tuple(range(len(measured))), ())
    base = FoldWork.of(measured, split, rows.plan.extra, folder / "aligned", options, cache)
    before = replace(options.status, tiles=replace(options.status.tiles, source="features"))
    found: list[dict[str, Any]] = []
    for method in rows.methods:
        for seed in method.seeds:
            place = base.folder / f"{slug(method.name)}-{seed}"
            start = method.settings.start
            own = {m.name for m in rows.methods}
            first = base.folder / f"{slug(start)}-{seed}" / "model" if start in own else start
            model = train_row(base, method.settings, seed, place, first or None)
            # What the encoder says before the projection does not depend on a frozen one's row.
            kinds = {method.name: options.status}
            if not found:
                kinds = {ALONE: before, **kinds}
            for name, settings in kinds.items():
                kept = folder / "status" / f"{slug(name)}-{seed}"
                said = _validate(
                    model, slides, patients, folds, settings, kept, seed, options.device, cache
                )
                found.append({"row": name, "seed": seed, **said})
    return found


def _validate(
    model_folder: Path,
    slides: dict[str, Slide],
    patients: Patients,
    folds: int,
    settings: MilSettings,
    folder: Path,
    seed: int,
    device: str,
    cache: Any,
) -> dict[str, Any]:
    """Cross-validated scores of one row and seed."""
    from napari_umpire.inference.model import load_model
    from napari_umpire.models.status_config import TileConfig
    from umpire_training.console import follow
    from umpire_training.stages.mil import cross_validate
    from umpire_training.stages.mil_bags import check_slides, make_bags

    done = folder / "scores.json"
    if done.is_file():
        return json.loads(done.read_text(encoding="utf-8"))
    make_folder(folder)
    model = load_model(model_folder, device=device)
    tiles = TileConfig(**asdict(settings.tiles))
    check_slides(model, slides, tiles)
    bags = follow(
        make_bags(model, slides, patients, tiles, folder / "tiles", batch_size=64, cache=cache)
    )
    scores, _, _ = cross_validate(
        bags, patients, folds, settings, folder=folder, seed=seed, resume=True
    )
    said = {
        "auc": scores.auc,
        "f1": scores.f1,
        "auc_folds": list(scores.auc_folds),
        "f1_folds": list(scores.f1_folds),
        "auc_shuffled": list(scores.auc_permuted),
        "f1_shuffled": list(scores.f1_permuted),
        "f1_majority": scores.f1_majority,
        "tiles": bags.n_tiles,
        "scheme": scores.scheme,
    }
    with replace_file(done) as written:
        written.write_text(json.dumps(said, indent=1), encoding="utf-8")
    return said


def _report(
    frame: pd.DataFrame,
    rows: Rows,
    slides: dict[str, Slide],
    patients: Patients,
    folds: int,
    command: str,
) -> list[str]:
    from umpire_training.benchmark.report import changes_table, grid, paper_rows

    lines = []
    for name, mine in frame.groupby("row", sort=False):
        shuffled = {
            s: np.array([v for one in mine[f"{s}_shuffled"] for v in one], float)
            for s in ("auc", "f1")
        }
        cells = [_mean(v) for s in ("auc", "f1") for v in (mine[s], shuffled[s])]
        lines.append([str(name), str(len(mine)), *cells])
    again = sorted({s.name for s in rows.plan.slides} & set(slides))
    counts = ", ".join(f"{n} {c}" for n, c in zip(patients.counts, patients.classes, strict=True))
    head = ["row", "seeds", "AUC", "AUC, labels shuffled", "F1", "F1, labels shuffled"]
    return [
        "# Figure 5: slide status",
        "",
        f"`{command}`",
        "",
        (
            f"{len(patients.names)} patients ({counts}), {len(slides)} slides, "
            f"{int(frame['tiles'].iloc[0]):,} tiles; {frame['scheme'].iloc[0]}. The rows' encoders "
            f"are aligned on {', '.join(s.name for s in rows.plan.slides)}; then gated attention "
            f"(ABMIL) is trained on the {rows.options.status.tiles.source} of the tiles; '{ALONE}' "
            "reads the features before the projection. Scores are of left-out patients, pooled, "
            "mean ± standard deviation over seeds; beside them the same with labels shuffled "
            "among patients. Always the most frequent class: "
            f"F1 {frame['f1_majority'].iloc[0]:.3f}."
        ),
        "",
        (
            f"The encoders were aligned on {', '.join(again)} themselves: these scores are not "
            "those of new slides."
            if again
            else "No slide with a status was seen by the alignment."
        ),
        "",
        *grid(head, lines),
        "",
        "![AUC and F1](figure-5.png)",
        "",
        *changes_table(rows.methods),
        "The paper draws its scores (LUAD-mutation, other data); in words it gives:",
        "",
        *paper_rows("Figure 5"),
    ]


def _mean(values: Any) -> str:
    from umpire_training.benchmark.report import mean_sd

    known = np.array([v for v in values if v is not None], float)
    return mean_sd(known, 3) if len(known) else "none"


def _draw(frame: pd.DataFrame, path: Path) -> None:
    """Bars of AUC and F1 by row, a dot for each seed, a line for shuffled labels."""
    from matplotlib.figure import Figure

    from napari_umpire.inference.figures.gene_figure import write_figure

    names = list(dict.fromkeys(frame["row"]))
    figure = Figure(figsize=(1.6 + 1.1 * len(names), 3.4), facecolor="white")
    for axes, score in zip(figure.subplots(1, 2), ("auc", "f1"), strict=True):
        for x, name in enumerate(names):
            mine = frame[frame["row"] == name]
            values = np.array([v for v in mine[score] if v is not None], float)
            mixed = np.array([v for one in mine[f"{score}_shuffled"] for v in one], float)
            if len(values):
                axes.bar(x, values.mean(), color="#56b4e9", width=0.7)
                axes.plot(np.full(len(values), x), values, "o", color="#1a1a1a", markersize=3)
            if len(mixed):
                axes.plot([x - 0.35, x + 0.35], [mixed.mean()] * 2, color="#d55e00", linewidth=1.5)
        axes.set_xticks(range(len(names)), names, rotation=60, ha="right", fontsize=7)
        axes.set_ylim(0, 1)
        axes.set_title(f"{score.upper()} (orange: labels shuffled)", fontsize=7)
    figure.tight_layout()
    write_figure(figure, [path], dpi=150)
