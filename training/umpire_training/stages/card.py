"""What the READMEs of trained models say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_umpire.models.folder import LoadedModel
    from umpire_training.corpus.paired import PairedSet
    from umpire_training.options import (
        AlignSettings,
        ContrastOptions,
        FinetuneSettings,
        VisionOptions,
    )

__all__ = ["finetune_card", "image_origin", "make_card"]

_FIXED, _HALF_FIXED = "umpire-texture", "umpire-hybrid"
_UNKNOWN_ELSEWHERE = (
    "how well it does on other tissue, stain or scanner is not known until it is measured there."
)


def make_card(
    pairs: PairedSet,
    settings: AlignSettings,
    seed: int,
    description: str,
    *,
    gene_digest: str | None = None,
) -> dict[str, Any]:
    """What the model's README says, without praise.

    Parameters
    ----------
    gene_digest
        Of the pre-trained gene encoder that the model began with; None: it began with none.
    """
    names = [slide.name for slide in pairs.slides]
    image = image_origin(settings.vision)
    before = [
        *(["image"] if image is not None else []),
        *(["gene"] if gene_digest is not None else []),
    ]
    seen = "has seen the slides named below and nothing else"
    if before:
        began = f"{' and '.join(before)} encoder{'s' if len(before) > 1 else ''}"
        seen = (
            f"has seen the slides named below; its {began} began with weights of other data, "
            "named below too"
        )
    honest = f"Research use only. The model {seen}; {_UNKNOWN_ELSEWHERE}"
    aligned = settings.contrast.weight > 0
    return {
        "description": f"{description} {honest}".strip(),
        "Trained on": f"{', '.join(names)} ({pairs.n_spots:,} spots)",
        "Spots": f"at least {pairs.facts['qc']['min_genes']} detected genes",
        "Image encoder weights": _image_weights(settings.vision, image),
        **({"Gene encoder weights": _gene_weights(settings, gene_digest)} if aligned else {}),
        **_training(settings, seed),
    }


def image_origin(vision: VisionOptions) -> str | None:
    """Whose weights the image encoder begins with, in words; None: nobody's.

    As `create_vision_encoder` finds them: a published name finds its own without being told where.
    """
    from napari_umpire.models.small_vision import SMALL_ENCODERS
    from napari_umpire.models.vision_names import NAMED

    known = NAMED.get(vision.name)
    if vision.weights is not None and vision.weights != "hub":
        # Where it lay on the computer is no one's business.
        file = Path(vision.weights).name
        return f"{known.title}, from the file {file}" if known else f"from the file {file}"
    if known is not None:
        return f"{known.title} ({known.hub})"
    if vision.name.startswith("hf-hub:"):
        return f"{vision.name.removeprefix('hf-hub:')} of the hub"
    if vision.weights == "hub" and vision.name not in SMALL_ENCODERS:
        return f"those that timm knows for {vision.name}"
    return None


def _image_weights(vision: VisionOptions, origin: str | None) -> str:
    if origin is None:
        if vision.name == _FIXED:
            return "fixed filters, with nothing to learn"
        then = "trained from scratch on these slides"
        then = then if vision.train else "drawn at random and not trained"
        return f"fixed filters beside a network {then}" if vision.name == _HALF_FIXED else then
    if not vision.train:
        return f"pre-trained: {origin}; frozen"
    last = "" if vision.last_blocks is None else f", of the last {vision.last_blocks} blocks"
    return f"pre-trained: {origin}; trained further on these slides{last}"


def _gene_weights(settings: AlignSettings, digest: str | None) -> str:
    gene = settings.gene
    if digest is None:
        scratch = "trained from scratch on these slides"
        return scratch if gene.train else "drawn at random and not trained"
    origin = f"{Path(gene.pretrained or '').name}, digest {digest}"
    then = "trained further on these slides" if gene.train else "frozen"
    return f"pre-trained: {origin}; {then}"


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
        f"seen, and has since seen the slides named below; {_UNKNOWN_ELSEWHERE}"
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
        parts["Contrastive loss"] = _contrast(settings.contrast)
        if settings.contrast.kind != "margin":
            parts["Contrastive targets"] = (
                target.kind
                if target.kind == "one-hot"
                else f"softmax({target.scale:g} x cosine of {target.space})"
            )
    if rec.weight > 0:
        parts["Reconstruction"] = (
            f"mean {'squared' if rec.error == 'mse' else 'absolute'} error of z-scores of "
            + (
                "all genes that every slide measured"
                if rec.genes is None
                else f"the {rec.genes:,} most variable genes"
            )
            + f", weight {rec.weight:g}"
        )
    return {
        **parts,
        "Augmentation": f"dihedral {settings.augment.dihedral}, stain {settings.augment.stain:g}",
        "Optimiser": f"AdamW, peak learning rate {settings.optim.lr:g}, weight decay "
        f"{settings.optim.weight_decay:g}, batch {settings.trainer.batch_size}",
        "Seed": seed,
    }


def _contrast(contrast: ContrastOptions) -> str:
    kinds = {
        "symmetric": "cross entropy in both directions",
        "one-sided": "cross entropy from image to gene alone (InfoNCE)",
        "margin": f"distances of pairs, and of others below {contrast.margin:g} (Hadsell et al.)",
    }
    return f"{kinds[contrast.kind]}, weight {contrast.weight:g}"
