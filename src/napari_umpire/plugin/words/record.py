"""What a run record says, for people."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from napari_umpire.words import counted

if TYPE_CHECKING:
    from napari_umpire.inference.predictions.record import RunRecord

__all__ = ["made_words", "record_words"]


def record_words(record: RunRecord) -> str:
    """Slide, model, reference, settings and when the run was made, a line each."""
    return "\n".join(
        (
            f"Slide: {_name(record.slide)}{_scale(record)}.",
            f"Model: {_model(record)}.",
            f"Reference: {_reference(record)}.",
            f"Settings: {_settings(record)}.",
            f"Table {record.name}: {_genes(record)}.",
            f"Made: {made_words(record)}.",
        )
    )


def made_words(record: RunRecord) -> str:
    """When, by the clock of this computer, and by which version."""
    said = record.provenance
    try:
        when = datetime.fromisoformat(said["created"]).astimezone().strftime("%Y-%m-%d %H:%M")
    except (KeyError, ValueError):
        when = said.get("created") or "at a time that the record does not say"
    version = said.get("napari_umpire")
    return f"{when} by napari-umpire {version}" if version else when


def _name(path: str) -> str:
    """A folder or file by its name."""
    return Path(path).name


def _model(record: RunRecord) -> str:
    """Many a folder is called "model": with the folder around it, and the beginning of its digest.

    A hub name, such as owner/model, is told whole.
    """
    path = Path(record.model)
    name = str(Path(*path.parts[-2:])) if path.is_absolute() else record.model
    digest = record.provenance.get("model_digest", "")
    return f"{name}, {digest[:8]}" if digest else name


def _scale(record: RunRecord) -> str:
    region = "" if record.region is None else f", region {record.region}"
    return region if record.mpp is None else f"{region}, {record.mpp:.4g} µm per px"


def _reference(record: RunRecord) -> str:
    if record.method == "decoder":
        return "none, predicted from the image alone"
    return "the model's own" if record.reference is None else _name(record.reference)


def _settings(record: RunRecord) -> str:
    how = "decoder"
    if record.method == "retrieval":
        how = f"retrieval, K {record.k}, weights by {record.weighting}"
    return f"{how}; {record.device}, batch {record.batch_size}, seed {record.seed}"


def _genes(record: RunRecord) -> str:
    genes = counted(len(record.genes), "gene") if record.genes else "all genes"
    return f"{genes} with their spread" if record.std else genes
