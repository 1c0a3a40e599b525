"""Figure S4: how far labelled groups lie apart in each row's spaces, and t-SNE of them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pandas as pd

    from napari_umpire.inference.model import Model
    from umpire_training.benchmark.methods import Method
    from umpire_training.benchmark.shared import FoldWork
    from umpire_training.benchmark.tables.spaces import Labels
    from umpire_training.verbs.benchmark import Options

__all__ = ["prepare"]

_PROTOCOL = (
    "Of each held-out section the labelled spots are looked at in what the encoders of a row say, "
    "before and after the projection: mean silhouette (higher is further apart) and Davies-Bouldin "
    "index (lower is further apart), by Euclidean distance in all dimensions, beside the same with "
    "labels shuffled. The t-SNE pictures start from the first 50 principal components, "
    "perplexity 30; no number is taken from them. Labels made from expression (clusters) are "
    "circular for genes."
)


def prepare(options: Options, methods: list[Method]) -> Callable[[Path, str], str]:
    """See `PaperTable`."""
    from umpire_training.benchmark.tables.rows import prepare_rows
    from umpire_training.benchmark.tables.spaces import Labels, by_space

    rows = prepare_rows(options, methods)
    labels = Labels.read(options, [source.slide for source in rows.plan.slides])
    rows = rows.beginning_with("labels", labels.digest, "table of labels")

    def work(folder: Path, command: str) -> str:
        from umpire_training.benchmark.leave_out import measured_slides
        from umpire_training.benchmark.report import changes_table
        from umpire_training.benchmark.tables.space_figure import draw_spaces
        from umpire_training.benchmark.writing import write_csv, write_lines

        mine = labels.of_spots(measured_slides(rows.plan, options, folder), rows.plan.slides)
        results = rows.train(folder, partial(_separation, mine))
        frame = by_space(results, methods)
        write_csv(folder / f"{options.table}.csv", frame)
        drawn = draw_spaces(folder, results, methods, mine)
        protocol = f"{rows.plan.words} {_PROTOCOL}"
        parts = [
            *mine.heading("Figure S4: embeddings by label", command, len(results), protocol),
            *_lines(frame),
            *(f"![t-SNE of {path.stem}]({path.relative_to(folder)})" for path in drawn),
            "",
            *changes_table(methods),
            "The paper prints its scores inside its figure S4 only, of DLPFC 151673: other data.",
            "",
        ]
        return write_lines(folder / f"{options.table}.md", parts)

    return work


def _separation(
    labels: Labels, model: Model, work: FoldWork, folder: Path, seed: int
) -> dict[str, Any]:
    """{held-out slide: {space: {silhouette, davies_bouldin, and of shuffled labels}}}.

    The spaces themselves are kept in ``folder``, for the pictures.
    """
    from napari_umpire.inference.arrays import replace_array
    from napari_umpire.inference.classes.cluster_scores import group_scores
    from umpire_training.benchmark.tables.spaces import space_file, spaces_of
    from umpire_training.console import follow

    found: dict[str, Any] = {}
    for test in work.test:
        spaces = spaces_of(model, test.source.slide)
        codes = labels.codes[test.name]
        there = codes >= 0
        mixed = np.full(len(codes), -1)
        mixed[there] = np.random.default_rng(seed).permutation(codes[there])
        found[test.name] = {}
        for name, x in spaces.items():
            real, shuffled = follow(group_scores(x, {"label": codes, "shuffled": mixed}))
            found[test.name][name] = {
                "n": real.n,
                "silhouette": real.silhouette,
                "davies_bouldin": real.davies_bouldin,
                "silhouette_shuffled": shuffled.silhouette,
                "davies_bouldin_shuffled": shuffled.davies_bouldin,
            }
            replace_array(space_file(folder, test.name, name), x.astype(np.float32))
    return found


def _lines(frame: pd.DataFrame) -> list[str]:
    from umpire_training.benchmark.report import grid, mean_sd

    columns = ["silhouette", "silhouette_shuffled", "davies_bouldin", "davies_bouldin_shuffled"]
    lines = []
    for (row, space), mine in frame.groupby(["row", "space"], sort=False):
        by_slide = mine.groupby("slide")[columns].mean()
        cells = [mean_sd(by_slide[c], 3) for c in columns]
        lines.append([str(row), str(space), *cells])
    head = ["row", "space", "silhouette", "shuffled", "Davies-Bouldin", "shuffled"]
    return [*grid(head, lines), ""]
