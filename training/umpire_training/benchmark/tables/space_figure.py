"""Pictures of spaces: t-SNE of one held-out section, a panel for each row and space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from umpire_training.console import follow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from umpire_training.benchmark.methods import Method
    from umpire_training.benchmark.tables.spaces import Labels

__all__ = ["draw_spaces"]

_PANEL_IN = 2.2
_SMALL = 6.5


def draw_spaces(
    folder: Path, results: list[dict[str, Any]], methods: Sequence[Method], labels: Labels
) -> list[Path]:
    """Write tsne-<slide>.png of the first held-out section; each row's first seed."""
    from matplotlib.figure import Figure

    from napari_umpire.inference.classes.projection import project
    from napari_umpire.inference.figures.gene_figure import write_figure
    from umpire_training.benchmark.fold import row_folder
    from umpire_training.benchmark.places import place_name
    from umpire_training.benchmark.tables.spaces import space_file

    result = results[0]
    slide = result["slide"]
    fold = folder / "folds" / place_name(result["fold"])
    spaces = list(dict.fromkeys(s for m in methods for s in _first(result, m)["more"][slide]))
    codes = labels.codes[slide]
    there = codes >= 0
    shape = (len(methods), len(spaces))
    figure = Figure(figsize=(_PANEL_IN * shape[1], _PANEL_IN * shape[0] + 0.4), facecolor="white")
    axes = figure.subplots(*shape, squeeze=False)
    for method, line in zip(methods, axes, strict=True):
        seed = method.seeds[0]
        scores = _first(result, method)["more"][slide]
        for space, panel in zip(spaces, line, strict=True):
            panel.set_xticks([])
            panel.set_yticks([])
            if space not in scores:
                panel.set_axis_off()
                continue
            place = row_folder(fold, method.name, seed)
            x = np.load(space_file(place, slide, space), allow_pickle=False)[there]
            xy = follow(project({slide: x}, "t-SNE", seed=seed)).xy
            for c, name in enumerate(labels.classes):
                mine = codes[there] == c
                panel.scatter(*xy[mine].T, s=4, color=labels.colours[c], label=name, linewidths=0)
            said = scores[space]
            panel.set_title(
                f"{method.name}: {space}\nsilhouette {_said(said['silhouette'])}, "
                f"DB {_said(said['davies_bouldin'])}",
                fontsize=_SMALL,
            )
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(
        handles, names, loc="lower center", ncol=max(1, len(names)), fontsize=_SMALL, frameon=False
    )
    figure.tight_layout(rect=(0, 0.4 / figure.get_size_inches()[1], 1, 1))
    return write_figure(figure, [folder / f"tsne-{place_name(slide)}.png"], dpi=150)


def _first(result: dict[str, Any], method: Method) -> dict[str, Any]:
    return result["trained"][method.name][0]


def _said(value: float | None) -> str:
    return "none" if value is None else f"{value:.2f}"
