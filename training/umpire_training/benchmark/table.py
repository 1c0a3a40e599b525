"""The table of an evaluation: means over folds, per section, with the protocol beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from umpire_training.benchmark.controls import CONTROLS
from umpire_training.benchmark.writing import write_csv, write_lines

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["details", "notes", "scores_of", "write_scores", "write_tables"]


def write_tables(
    results: list[dict[str, Any]],
    folder: Path,
    *,
    command: str,
    seed: int,
    min_genes: int,
    split: str,
    split_words: str,
) -> str:
    """Write scores.csv (a row per method, gene set and slide) and evaluation.md; return the latter.

    Parameters
    ----------
    results
        One per held-out slide, from `run_fold`.
    command
        What to type to get the table again.
    split, split_words
        What was held out, and what that speaks of.
    """
    from napari_umpire.inference.scores.metrics import markdown_table

    scores = scores_of(results, min_genes, split)
    write_scores(scores, folder / "scores.csv")
    parts = [
        "# Evaluation",
        "",
        f"`{command}`",
        "",
        (
            f"Seed {seed}; {len({r['fold'] for r in results})} folds, "
            f"{sum(r['n_spots'] for r in results)} spots. {split_words}"
        ),
        "",
        markdown_table(scores),
        *notes(results),
        "",
        *details(results, scores),
    ]
    return write_lines(folder / "evaluation.md", [*parts, ""])


def write_scores(scores: list[Any], path: Path) -> None:
    """Write a CSV with a row per method, gene set and slide."""
    frame = pd.concat([score.to_frame() for score in scores], ignore_index=True)
    write_csv(path, frame)


def details(results: list[dict[str, Any]], scores: list[Any]) -> list[str]:
    """What stands below the table: scores of each slide, errors, genes that were asked for."""
    parts = ["## By held-out section", "", _by_section(scores)]
    if any(result["squared_error"] for result in results):
        head = "## Squared error (training mean in brackets)"
        parts += ["", head, "", _errors(results)]
    if any(result["shown_genes"] and any(result["shown_genes"].values()) for result in results):
        parts += ["", "## Genes asked for (PCC)", "", _shown(results)]
    return parts


def scores_of(results: list[dict[str, Any]], min_genes: int, split: str) -> list[Any]:
    """A `Score` per row and set of genes, controls first; rows that a slide lacks are left out."""
    from napari_umpire.inference.scores.metrics import FoldScore, Protocol, Score

    scores = []
    named = dict.fromkeys(name for result in results for name in result["rows"])
    for method in (*CONTROLS, *(name for name in named if name not in CONTROLS)):
        if any(method not in r["rows"] or "skipped" in r["rows"][method] for r in results):
            continue
        for genes, columns in results[0]["genes"].items():
            folds = []
            for result in results:
                entry = result["rows"][method][genes]
                n, constant = entry.get("n_genes", len(columns)), entry.get("n_constant", 0)
                folds.append(FoldScore(result["slide"], entry["mean"], n, constant))
            protocol = Protocol(
                genes=genes,
                min_genes=min_genes,
                split="leave one section out" if split == "slide" else "leave one patient out",
            )
            scores.append(Score(method, protocol, tuple(folds)))
    return scores


def notes(results: list[dict[str, Any]]) -> list[str]:
    """What a row is not: spread of the permutations, rows that are missing and why."""
    said_of = []
    first = results[0]["rows"].get(CONTROLS[0])
    if first and all(CONTROLS[0] in r["rows"] for r in results):
        said = []
        for genes in first:
            values = np.mean([r["rows"][CONTROLS[0]][genes]["values"] for r in results], axis=0)
            said.append(f"{genes} {values.mean():.3f} ± {values.std(ddof=1):.3f}")
            n = len(values)
        said_of.append(
            f"- Permuted: the colour-feature ridge, {n} permutations of the training rows within "
            f"their slides; spread over permutations of the mean over folds: {', '.join(said)}."
        )
    for method in CONTROLS:
        reasons = {r["rows"].get(method, {}).get("skipped") for r in results} - {None}
        said_of += [f"- {method}: left out, {reason}." for reason in sorted(map(str, reasons))]
    for method in dict.fromkeys(name for r in results for name in r["rows"]):
        for genes in results[0]["genes"]:
            lacks = [r["rows"].get(method, {}).get(genes, {}).get("n_missing", 0) for r in results]
            if any(lacks):
                n = len(results[0]["genes"][genes])
                said_of.append(
                    f"- {method} does not predict {max(lacks)} of the {n} genes of {genes}; their "
                    "correlation counts as 0, their squared error as that of the training mean."
                )
    said_of.append(
        "- Half-split reliability is that of half the counts, so it is not a strict ceiling."
    )
    return said_of


def _by_section(scores: list[Any]) -> str:
    """A Markdown table of each slide's scores."""
    slides = [fold.slide for fold in scores[0].folds]
    lines = [f"| method | genes | {' | '.join(slides)} |", "|---" * (len(slides) + 2) + "|"]
    for score in scores:
        cells = " | ".join(f"{fold.mean:.3f}" for fold in score.folds)
        lines.append(f"| {score.method} | {score.protocol.genes} | {cells} |")
    return "\n".join(lines)


def _errors(results: list[dict[str, Any]]) -> str:
    slides = [r["slide"] for r in results]
    lines = [f"| method | genes | {' | '.join(slides)} |", "|---" * (len(slides) + 2) + "|"]
    for method, sets in results[0]["squared_error"].items():
        for genes in sets:
            cells = [r["squared_error"][method].get(genes) for r in results]
            said = " | ".join(
                "" if c is None else f"{c['error']:.3f} ({c['training_mean']:.3f})" for c in cells
            )
            lines.append(f"| {method} | {genes} | {said} |")
    return "\n".join(lines)


def _shown(results: list[dict[str, Any]]) -> str:
    slides = [r["slide"] for r in results]
    lines = [f"| method | gene | {' | '.join(slides)} | mean |", "|---" * (len(slides) + 3) + "|"]
    for method, genes in results[0]["shown_genes"].items():
        for gene in genes:
            values = [r["shown_genes"][method][gene] for r in results]
            cells = " | ".join(f"{v:.3f}" for v in values)
            lines.append(f"| {method} | {gene} | {cells} | {np.mean(values):.3f} |")
    return "\n".join(lines)
