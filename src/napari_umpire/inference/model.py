"""`Model`: embeds slides, builds references, predicts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import numpy as np
    import torch

    from napari_umpire.genes.vocabulary import GeneVocabulary
    from napari_umpire.inference.cache import FeatureCache
    from napari_umpire.inference.predictions.prediction import GenePrediction
    from napari_umpire.inference.predictions.record import Method
    from napari_umpire.inference.predictions.weights import Weighting
    from napari_umpire.inference.references.database import ReferenceDatabase
    from napari_umpire.models.umpire import Umpire, UmpireConfig
    from napari_umpire.progress import Steps
    from napari_umpire.slides.patches import PatchSpec
    from napari_umpire.slides.slide import Slide

__all__ = ["MIN_GENES", "Model", "load_model"]

MIN_GENES = 100
"""Detected genes that a reference spot must have, as long as nothing else is asked."""


def load_model(
    path_or_hub_name: str | Path,
    device: str | torch.device = "auto",
    *,
    bf16: bool | None = None,
) -> Model:
    """Load a model folder, by path or as "owner/name" from the Hugging Face hub.

    Parameters
    ----------
    device
        "auto": a GPU where there is one.
    bf16
        Compute encoders in bfloat16; None: where CUDA does so in hardware, never on a CPU.

    Raises
    ------
    InputError
        Where there is no such model, it is damaged, or there is no such device.
    """
    from napari_umpire.inference.devices import pick_device, uses_bf16
    from napari_umpire.inference.model_path import is_hub_name, model_folder
    from napari_umpire.models.folder import load_model_folder

    where = pick_device(device)
    folder = model_folder(path_or_hub_name)
    loaded = load_model_folder(folder, where)
    return Model(
        name=str(path_or_hub_name) if is_hub_name(path_or_hub_name) else folder.resolve().name,
        path=folder,
        source=str(path_or_hub_name),
        module=loaded.model.eval(),
        vocabulary=loaded.vocabulary,
        digest=loaded.digest,
        device=where,
        bf16=uses_bf16(where, bf16),
    )


@dataclass(frozen=True, eq=False)
class Model:
    """A loaded model folder.

    Attributes
    ----------
    name
        For layers and records: the folder's name, or the hub name.
    path
        The folder.
    source
        What was asked for: a path or a hub name.
    module
        The network, in evaluation mode on ``device``.
    vocabulary
        The genes it knows.
    digest
        Of configuration, weights and genes.
    device, bf16
        Where it computes, and whether in bfloat16.
    """

    name: str
    path: Path
    source: str
    module: Umpire
    vocabulary: GeneVocabulary
    digest: str
    device: torch.device
    bf16: bool = False

    @property
    def config(self) -> UmpireConfig:
        """What the model is and which input it wants."""
        return self.module.config

    @property
    def patch_spec(self) -> PatchSpec:
        """The patches that the image encoder wants."""
        from napari_umpire.slides.patches import PatchSpec

        vision = self.config.vision
        return PatchSpec(vision.field_um, vision.size_px, white_balance=vision.white_balance)

    @cached_property
    def reference(self) -> ReferenceDatabase | None:
        """The model's own reference, its folder ``reference/``; None where it has none."""
        from napari_umpire.inference.references.database import ReferenceDatabase

        folder = self.path / "reference"
        return ReferenceDatabase.open(folder) if folder.is_dir() else None

    @cached_property
    def image_digest(self) -> str:
        """Of the image encoder and its precision: image features depend on this and the patches."""
        return _state_digest(self.module.visual_backbone, repr((self.config.vision, self.bf16)))

    @cached_property
    def gene_digest(self) -> str:
        """Of the gene encoder, its precision and the gene list."""
        said = repr((self.config.gene, self.config.tokens, self.vocabulary.digest, self.bf16))
        return _state_digest(self.module.spot_backbone, said)

    def describe(self) -> str:
        """What the model wants and has, in a few lines."""
        vision, gene = self.config.vision, self.config.gene
        spec = self.patch_spec
        if not self.config.aligned:
            reads = "none are read, the model has no gene encoder"
        elif gene.of_panel is not None:
            reads = f"log expression of {gene.of_panel.n_genes:,} genes"
        else:
            reads = f"rank tokens, {self.config.tokens.length:,} of {self.vocabulary.n_genes:,}"
        lines = [
            f"{self.name} (digest {self.digest[:16]}) on {self.device}",
            (
                f"image: {vision.name}, fields of {spec.field_um:g} um at {spec.size_px} px "
                f"({spec.mpp:.3g} um per px)"
            ),
            f"genes: {reads}",
        ]
        decoder, reference = self.config.decoder, self.reference
        if decoder is not None:
            lines.append(f"decoder: {len(decoder.genes):,} genes from the image alone")
        if not self.config.aligned:
            lines.append("reference: none, and none can be: trained by reconstruction alone")
        elif reference is None:
            lines.append("reference: none; build one with build_reference")
        else:
            slides = ", ".join(slide.name for slide in reference.info.slides)
            lines.append(
                f"reference: {reference.n:,} spots, {len(reference.genes):,} genes, from {slides}"
            )
        return "\n".join(lines)

    def embed_images(
        self, slide: Slide, *, batch_size: int = 64, cache: FeatureCache | None = None
    ) -> Steps[np.ndarray]:
        """Embeddings of the patches around all spots.

        Returns
        -------
        (n_spots, dim) float32, rows of length 1, in the order of ``slide.spots``.

        Raises
        ------
        InputError
            For a slide without physical scale, too coarse for the model, or without spots.
        """
        from napari_umpire.inference.embed_slide import image_embeddings

        return (yield from image_embeddings(self, slide, batch_size, cache))

    def embed_genes(
        self, slide: Slide, *, batch_size: int = 64, cache: FeatureCache | None = None
    ) -> Steps[np.ndarray]:
        """Embeddings of the measured genes of all spots; (n_spots, dim) as `embed_images`.

        Raises
        ------
        InputError
            For a slide without counts, without genes of the model, or whose counts are not raw.
        """
        from napari_umpire.inference.embed_slide import gene_embeddings
        from napari_umpire.inference.genes.input import MeasuredGenes

        measured = MeasuredGenes.of(slide, self.vocabulary)
        return (yield from gene_embeddings(self, slide, measured, batch_size, cache))

    def build_reference(
        self,
        slides: Iterable[Slide],
        folder: str | Path,
        *,
        batch_size: int = 64,
        cache: FeatureCache | None = None,
        min_genes: int = MIN_GENES,
        patches: bool = False,
        image_embeddings: bool = True,
    ) -> Steps[ReferenceDatabase]:
        """Write a reference database of measured slides, one slide in memory at a time.

        Cancelled or killed, it leaves no half database.

        Parameters
        ----------
        folder
            Must not exist; ``model.path / "reference"`` makes it the model's own.
        min_genes
            Spots with fewer detected genes are left out: a single count becomes 9.2 in
            log1p CP10k, and a nearly empty spot would speak loudest.
        patches
            Keep a small picture of each reference spot, to be shown as evidence. These are
            pictures of the tissue of the reference's patients: whoever gets the model sees them.
        image_embeddings
            Keep the embedding of each reference spot's own image too. A slide whose image is too
            coarse for the model goes without, with a warning.

        Raises
        ------
        InputError
            As `embed_genes`; for a slide that keeps no spot; for an existing folder.
        """
        from napari_umpire.inference.references.slides import write_reference
        from napari_umpire.inference.run import check_aligned

        check_aligned(self)
        built = yield from write_reference(
            self, slides, folder, batch_size, cache, min_genes,
            patches=patches, image_embeddings=image_embeddings,
        )  # fmt: skip
        self.__dict__.pop("reference", None)  # it may be the model's own, looked for before
        return built

    @property
    def methods(self) -> tuple[Method, ...]:
        """How it predicts, what `predict` would choose first; empty without reference and decoder.

        Retrieval is named where the model has its own reference; with another one it can too,
        unless its configuration is not ``aligned``.
        """
        retrieves = self.config.aligned and self.reference is not None
        decodes = self.config.decoder is not None
        return (*(("retrieval",) if retrieves else ()), *(("decoder",) if decodes else ()))

    def predict(
        self,
        slide: Slide,
        *,
        method: Method | Literal["auto"] = "auto",
        reference: ReferenceDatabase | str | Path | None = None,
        k: int = 50,
        weighting: Weighting = "softmax",
        batch_size: int = 64,
        cache: FeatureCache | None = None,
    ) -> Steps[GenePrediction]:
        """Predict the genes of a slide from its image.

        Parameters
        ----------
        method
            "retrieval": from the most similar spots of a reference, a `Prediction` with evidence.
            "decoder": from the image alone, a `DirectPrediction` of the genes that the decoder
            knows, without evidence. "auto": retrieval where there is a reference, else the
            decoder.
        reference
            retrieval: None is the model's own.
        k
            retrieval: references per spot; all where there are fewer.
        weighting
            See `predictions.weights`.

        Raises
        ------
        InputError
            For a method that the model cannot do; to retrieve, without reference or with one of
            another model; and as `embed_images`.
        """
        from napari_umpire.inference.predict import decode, retrieve
        from napari_umpire.inference.run import check_options, choose_method, choose_reference

        check_options(k, weighting, batch_size)
        if choose_method(self, method, reference) == "decoder":
            return (yield from decode(self, slide, batch_size, cache))
        chosen = choose_reference(self, reference, slide)
        return (yield from retrieve(self, slide, chosen, k, weighting, batch_size, cache))


def _state_digest(module: torch.nn.Module, said: str) -> str:
    """Digest of all parameters and buffers of ``module``, by name, and of ``said``."""
    import torch

    h = hashlib.sha256(said.encode())
    for name, tensor in module.state_dict().items():
        h.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        h.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return h.hexdigest()[:16]
