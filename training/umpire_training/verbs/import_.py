"""`umpire-train import`: a published checkpoint becomes a model folder."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Options", "run"]


@dataclass(kw_only=True)
class Options:
    """A model folder from the authors' weights; they are theirs, and not part of this package.

    Parameters
    ----------
    weights
        The published pickle, such as with_phikon.pkl or with_uni.pkl. Nothing in it is run.
    vocabulary
        Folder of the published model.h5ad, gene_name_id_dict.pkl and Visium_mean.npy.
    output
        Model folder to make.
    vision
        Image encoder, by name; null: told from the names of its tensors (Phikon, UNI).
    overwrite
        Replace a model folder that is there.
    """

    weights: str
    vocabulary: str
    output: str
    vision: str | None = None
    overwrite: bool = False


def run(options: Options) -> None:
    """Convert, and list everything that did not fit."""
    from napari_umpire.models.published import import_published
    from napari_umpire.models.vision_config import VisionConfig
    from umpire_training.console import say

    done = import_published(
        options.weights,
        options.vocabulary,
        options.output,
        vision=None if options.vision is None else VisionConfig(options.vision),
        overwrite=options.overwrite,
    )
    say(done.report())
    for title, keys in (("never used", done.unused), ("without a place", done.left_out)):
        for key in keys:
            say(f"  {title}: {key}")
