"""The README of a model folder: what the model is, wants and was made from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from napari_umpire.genes.vocabulary import GeneVocabulary
    from napari_umpire.models.umpire import Umpire

__all__ = ["write_card"]


def write_card(
    path: Path, name: str, model: Umpire, vocabulary: GeneVocabulary, card: Mapping[str, Any]
) -> None:
    """Write the model card.

    Parameters
    ----------
    card
        ``title``, ``description``, ``license`` and ``tags`` have their places; every other entry
        becomes a line of the table, in order. Nothing in it is read back by the program.
    """
    import yaml

    rest = {k: v for k, v in card.items() if k not in ("title", "description", "license", "tags")}
    front = {
        "library_name": "napari-umpire",
        "tags": list(card.get("tags", ["histology", "spatial-transcriptomics"])),
        **({"license": card["license"]} if "license" in card else {}),
    }
    config = model.config
    n_parameters = sum(p.numel() for p in model.parameters())
    rows = {
        "Image encoder": config.vision.name,
        "Patch": f"{config.vision.field_um:g} um of tissue at {config.vision.size_px} px"
        + (", the slide's background made white" if config.vision.white_balance else ""),
        "Context": config.context.in_words(),
        "Gene encoder": config.gene.in_words(config.tokens.length)
        if config.aligned
        else "none: trained by reconstruction alone",
        "Genes": f"{vocabulary.n_genes:,} ({vocabulary.source})",
        "Embedding": f"{config.dim} numbers, of length 1"
        if config.aligned
        else "none: trained by reconstruction alone",
        **_decoder_row(model),
        "Parameters": f"{n_parameters:,}",
        **rest,
    }
    lines = ["---", yaml.safe_dump(front, sort_keys=False).strip(), "---", ""]
    lines += [f"# {card.get('title', name)}", ""]
    lines += [str(card.get("description", "A pair of encoders for H&E patches and genes.")), ""]
    lines += ["| | |", "|---|---|", *(f"| {k} | {_cell(v)} |" for k, v in rows.items()), ""]
    lines += ["Use it: `napari_umpire.load_model(<this folder>)`, or choose it in napari.", ""]
    path.write_text("\n".join(lines), encoding="utf-8")


def _decoder_row(model: Umpire) -> dict[str, str]:
    decoder = model.config.decoder
    if decoder is None:
        return {}
    shape = f"one hidden layer of {decoder.hidden}" if decoder.hidden else "linear"
    return {"Decoder": f"{len(decoder.genes):,} genes from the image features, {shape}"}


def _cell(value: object) -> str:
    """One table cell: no line break and no bar may end it early."""
    return " ".join(str(value).split()).replace("|", "\\|")
