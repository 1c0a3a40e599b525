"""What the README of a trained model says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from umpire_training.corpus.paired import PairedSet
    from umpire_training.options import AlignSettings

__all__ = ["make_card"]


def make_card(
    pairs: PairedSet, settings: AlignSettings, seed: int, description: str
) -> dict[str, Any]:
    """What the model's README says, without praise."""
    names = [slide.name for slide in pairs.slides]
    scratch = settings.vision.train and settings.vision.weights is None
    honest = (
        "Research use only. The model has seen the slides named below and nothing else; how well "
        "it does on other tissue, stain or scanner is not known until it is measured there."
    )
    target = settings.target
    return {
        "description": f"{description} {honest}".strip(),
        "Trained on": f"{', '.join(names)} ({pairs.n_spots:,} spots)",
        "Spots": f"at least {pairs.facts['qc']['min_genes']} detected genes",
        "Image encoder weights": "trained from scratch on these slides"
        if scratch
        else ("fine-tuned" if settings.vision.train else "frozen"),
        "Contrastive targets": target.kind
        if target.kind == "one-hot"
        else f"softmax({target.scale:g} x cosine of {target.space})",
        "Augmentation": f"dihedral {settings.augment.dihedral}, stain {settings.augment.stain:g}",
        "Optimiser": f"AdamW, peak learning rate {settings.optim.lr:g}, weight decay "
        f"{settings.optim.weight_decay:g}, batch {settings.trainer.batch_size}",
        "Seed": seed,
    }
