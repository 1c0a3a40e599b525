"""`umpire-train reference`: build the reference database inside a model folder."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Options", "run"]


@dataclass(kw_only=True)
class Options:
    """The reference database of a model, from measured slides.

    Parameters
    ----------
    model
        Model folder.
    slides
        Slides with counts whose spots become references, or collections of them.
    output
        Folder of the reference; null: "reference" inside the model folder, where it is found by
        itself.
    min_genes
        A spot needs at least so many detected genes.
    patches
        Keep a small H&E picture of each reference spot, so that the plugin can show what a
        prediction rests on. Off unless asked for: these are pictures of the tissue of the
        reference's patients, and go to everyone who gets the model.
    image_embeddings
        Keep the embedding of each reference spot's own image, by which similar tissue is found
        and unlike tissue is told. A slide too coarse for the model goes without.
    mpp
        um per full-resolution px of all slides, where the files do not say.
    batch_size
        Spots per step.
    device
        Where to compute.
    """

    model: str
    slides: list[str]
    output: str | None = None
    min_genes: int = 100
    patches: bool = False
    image_embeddings: bool = True
    mpp: float | None = None
    batch_size: int = 64
    device: str = "auto"


def run(options: Options) -> None:
    """Build it; an existing reference is never replaced."""
    from pathlib import Path

    from napari_umpire.inference.model import load_model
    from umpire_training.console import follow, say
    from umpire_training.corpus.finding import find_sources
    from umpire_training.corpus.whole_slides import opened_slides

    sources = opened_slides(find_sources(options.slides, mpp=options.mpp)[0])
    model = load_model(options.model, device=options.device)
    folder = Path(options.output) if options.output else model.path / "reference"
    slides = [source.slide for source in sources]
    reference = follow(
        model.build_reference(
            slides,
            folder,
            batch_size=options.batch_size,
            min_genes=options.min_genes,
            patches=options.patches,
            image_embeddings=options.image_embeddings,
        )
    )
    pictures = ", with their pictures" if reference.patches is not None else ""
    say(f"{folder}: {reference.n} references{pictures}, {len(reference.genes)} genes")
