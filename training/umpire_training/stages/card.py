"""What the READMEs of trained models say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_umpire.models.folder import LoadedModel
    from umpire_training.corpus.paired import PairedSet
    from umpire_training.options import AlignSettings, FinetuneSettings

__all__ = ["finetune_card", "make_card"]


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
    return {
        "description": f"{description} {honest}".strip(),
        "Trained on": f"{', '.join(names)} ({pairs.n_spots:,} spots)",
        "Spots": f"at least {pairs.facts['qc']['min_genes']} detected genes",
        "Image encoder weights": "trained from scratch on these slides"
        if scratch
        else ("fine-tuned" if settings.vision.train else "frozen"),
        **_training(settings, seed),
    }


def finetune_card(
    base: LoadedModel,
    pairs: PairedSet,
    settings: FinetuneSettings,
    seed: int,
    description: str,
) -> dict[str, Any]:
    """What the README of a fine-tuned model says: also what it started from."""
    names = [slide.name for slide in pairs.slides]
    honest = (
        "Research use only. The model started from another one, whose own card says what that had "
        "seen, and has since seen the slides named below; how well it does on other tissue, stain "
        "or scanner is not known until it is measured there."
    )
    if settings.mode == "adapter":
        trained = "projections and residual adapters (encoders and temperature as they were)"
    elif settings.train_gene:
        trained = "both encoders, projections and temperature"
    else:
        trained = "image encoder, projections and temperature (gene encoder as it was)"
    return {
        "description": f"{description} {honest}".strip(),
        "Fine-tuned from": f"{base.path.resolve().name}, digest {base.digest}",
        "Fine-tuned on": f"{', '.join(names)} ({pairs.n_spots:,} spots)",
        "Spots": f"at least {pairs.facts['qc']['min_genes']} detected genes",
        "What was trained": trained,
        **_training(settings, seed),
    }


def _training(settings: AlignSettings | FinetuneSettings, seed: int) -> dict[str, Any]:
    target, rec = settings.target, settings.rec
    parts = {}
    if settings.contrast.weight > 0:
        parts["Contrastive targets"] = (
            target.kind
            if target.kind == "one-hot"
            else f"softmax({target.scale:g} x cosine of {target.space})"
        )
    if rec.weight > 0:
        parts["Reconstruction"] = (
            f"mean {'squared' if rec.error == 'mse' else 'absolute'} error of z-scores of "
            + ("all genes" if rec.genes is None else f"the {rec.genes:,} most variable genes")
            + f", weight {rec.weight:g}"
        )
    return {
        **parts,
        "Augmentation": f"dihedral {settings.augment.dihedral}, stain {settings.augment.stain:g}",
        "Optimiser": f"AdamW, peak learning rate {settings.optim.lr:g}, weight decay "
        f"{settings.optim.weight_decay:g}, batch {settings.trainer.batch_size}",
        "Seed": seed,
    }
