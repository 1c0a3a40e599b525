"""Maps of a gene over the held-out sections, measured beside predicted, as the paper's figure 3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from umpire_training.benchmark.fold import measured_file, row_folder
from umpire_training.benchmark.row import prediction_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from napari_umpire.slides.slide import Slide
    from umpire_training.benchmark.tables.rows import Rows

__all__ = ["draw_overlays", "overlay_figures"]

_PICTURE_PX = 600
_PERCENTILES = (1.0, 99.0)
_COLUMNS = 4


def draw_overlays(rows: Rows, results: list[dict[str, Any]], folder: Path) -> list[str]:
    """Write overlays/<gene>-<slide>-{fixed,variable}.png of the genes asked for.

    Returns lines for the report.

    Predictions are those of each row's first seed.
    """
    genes = rows.options.overlays
    if not genes:
        return []
    from napari_umpire.files import make_folder
    from napari_umpire.inference.scores.metrics import pcc_per_gene
    from umpire_training.benchmark.leave_out import measured_slides
    from umpire_training.benchmark.places import place_name

    out = folder / "overlays"
    make_folder(out)
    lines = ["## Overlays", ""]
    slides = {m.name: m.source.slide for m in measured_slides(rows.plan, rows.options, folder)}
    for result in results:
        name = result["slide"]
        fold = folder / "folds" / place_name(result["fold"])
        truth = np.load(measured_file(fold, name), allow_pickle=False)
        for gene in genes:
            place = result["shown_places"][gene]
            maps = {"measured": truth[:, place]}
            for method in rows.methods:
                kept = prediction_file(row_folder(fold, method.name, method.seeds[0]), name)
                maps[method.name] = np.load(kept, allow_pickle=False)[:, place]
            others = {title: m for title, m in maps.items() if title != "measured"}
            drawn = np.stack(list(others.values()), axis=1)
            pcc = pcc_per_gene(drawn, np.repeat(maps["measured"][:, None], len(others), 1))
            said = {title: f"PCC {r:.2f}" for title, r in zip(others, pcc, strict=True)}
            stem = out / f"{place_name(gene)}-{place_name(name)}"
            for path in overlay_figures(slides[name], gene, maps, said, stem):
                lines.append(f"- [{path.name}]({path.relative_to(folder)})")
    return [*lines, ""]


def overlay_figures(
    slide: Slide, gene: str, maps: Mapping[str, np.ndarray], notes: Mapping[str, str], stem: Path
) -> list[Path]:
    """Draw the same maps twice: with one range for all, and with a range of each one's own.

    Parameters
    ----------
    maps
        Title -> (n_spots,) log1p CP10k; the first one gives the fixed range.
    notes
        Title -> what is printed below it.
    stem
        Path without "-fixed.png".
    """
    from matplotlib import colormaps

    from napari_umpire.inference.figures.gene_figure import (
        FigureContent,
        GeneMaps,
        draw,
        write_figure,
    )
    from napari_umpire.slides.overview_picture import overview_picture

    picture = overview_picture(slide, _PICTURE_PX)
    own = {name: _range(values) for name, values in maps.items()}
    one = (0.0, next(iter(own.values()))[1])
    written = []
    for kind in ("fixed", "variable"):
        said = (
            "One range for all maps, from 0 to the 99th percentile of the measurement: colours "
            "compare."
            if kind == "fixed"
            else "Each map has a range of its own, from the 1st to the 99th percentile: patterns "
            "compare, colours do not."
        )
        content = FigureContent(
            picture=picture,
            yx=slide.yx,
            diameter=slide.spot_diameter_um / slide.mpp,
            mpp=slide.mpp,
            rows=(gene,),
            genes=tuple(
                GeneMaps(
                    name, (values,), one if kind == "fixed" else own[name], notes.get(name, "")
                )
                for name, values in maps.items()
            ),
            colours=np.asarray(colormaps["viridis"](np.linspace(0, 1, 256))),
            caption=(
                f"{gene} over {slide.name}, held out; {slide.n_spots} spots. {said}",
                "PCC: Pearson correlation over these spots; one training of each row.",
            ),
            shared_range=kind == "fixed",
            columns=_COLUMNS,
        )
        written += write_figure(draw(content), [stem.with_name(f"{stem.name}-{kind}.png")], dpi=150)
    return written


def _range(values: np.ndarray) -> tuple[float, float]:
    there = values[np.isfinite(values)]
    if not len(there):
        return 0.0, 1.0
    low, high = np.percentile(there, _PERCENTILES)
    return (float(low), float(high)) if high > low else (float(low), float(low) + 1.0)
