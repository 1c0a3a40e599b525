"""What the Gene maps widget says of the gene that is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_umpire.genes.normalise import UNIT
from napari_umpire.inference.scores.agreement import agreement
from napari_umpire.plugin.words.method import FROM_IMAGE
from napari_umpire.words import counted

if TYPE_CHECKING:
    from napari_umpire.plugin.layers.make import Kind
    from napari_umpire.plugin.session.slide_state import SlideState

__all__ = ["gene_words"]


def gene_words(
    state: SlideState | None, gene: str | None, kind: Kind = "predicted", *, reading: bool = False
) -> str:
    """Name, unit, how often it was seen, correlation with its protocol, similarity.

    Parameters
    ----------
    kind
        Which map is shown.
    reading
        Whether the counts of the slide are being read just now.
    """
    if state is None:
        return "Drop a slide into the window to begin."
    lines = []
    if reading:
        lines.append("Reading the counts…")
    elif not state.kinds:
        return (
            "Nothing was measured on this slide. Predict its genes first: "
            "Plugins > Umpire > Predict."
        )
    if gene is None:
        return "\n".join([*lines, "Choose a gene."])
    if gene in state.signatures:
        return "\n".join([*lines, *_signature_lines(state, gene, kind)])
    if gene not in state.genes:
        return "\n".join([*lines, "The gene chosen last is not known on this slide."])
    row = state.genes.frame.loc[gene]
    name = f"{row['symbol']} ({row['id']})" if row["symbol"] and row["id"] else gene
    lines.append(f"{name}, {UNIT}")
    maps = state.gene_maps(gene)
    predicted, measured = maps.get("predicted"), maps.get("measured")
    if measured is not None:
        seen = int((measured > 0).sum())
        lines.append(
            f"Measured in {seen:,} of {len(measured):,} spots ({seen / len(measured):.0%})."
        )
    elif state.measured is not None:
        lines.append("Not among the measured genes.")
    if predicted is None and state.prediction is not None:
        whose = "decoder" if state.retrieval is None else "reference"
        lines.append(f"Not among the {whose}'s genes, so it is not predicted.")
    if predicted is not None and measured is not None and state.measured is not None:
        lines.append(agreement(predicted, measured, state.measured.detected).describe())
    if kind == "spread" and predicted is not None:
        spread = state.spread(gene)
        if spread is not None:
            lines.append(
                f"Spread: weighted standard deviation over the references of a spot, median "
                f"{float(np.nanmedian(spread)):.2f}; the prediction's own over the spots is "
                f"{float(np.nanstd(predicted)):.2f}."
            )
    if state.retrieval is not None:
        similarity = float(np.mean(state.retrieval.mean_similarity))
        k = state.retrieval.k
        lines.append(f"Mean similarity of a spot to its {k} reference spots: {similarity:.2f}.")
    elif predicted is not None:
        lines.append(f"{FROM_IMAGE} Spread and similarity are of references only.")
    return "\n".join(lines)


def _signature_lines(state: SlideState, key: str, kind: Kind) -> list[str]:
    signature = state.signatures[key]
    lines = [f"{signature.name}: {signature.unit}"]
    if state.pending(key):
        return [*lines, f"Scoring its {counted(len(signature.genes), 'gene')}…"]
    scores, maps = state.scores(key), state.gene_maps(key)
    if not scores:
        return [*lines, f"None of its {counted(len(signature.genes), 'gene')} is known here."]
    lines += [f"{side.capitalize()}: {found.describe()}." for side, found in scores.items()]
    if "difference" in maps and state.measured is not None:
        found = agreement(maps["predicted"], maps["measured"], state.measured.detected)
        lines.append(found.describe(signature.unit))
    if kind == "spread":
        lines.append("A signature has no spread: it is that of a single gene.")
    return lines
