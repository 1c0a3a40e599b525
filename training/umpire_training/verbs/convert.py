"""`umpire-train convert`: any readable slide -> a SpatialData store for napari."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Options", "run"]


@dataclass(kw_only=True)
class Options:
    """Any readable slide as a SpatialData store.

    Parameters
    ----------
    slides
        What to convert; all slides of each path.
    output
        A name ending in .zarr for a single slide, else a folder that gets one store per slide.
    image
        The full-resolution image to use, for a single slide.
    mpp
        um per full-resolution px, where the files do not say.
    """

    slides: list[str]
    output: str
    image: str | None = None
    mpp: float | None = None


def run(options: Options) -> None:
    """Write the stores; an existing one is never replaced."""
    from pathlib import Path

    from napari_umpire.errors import InputError
    from napari_umpire.files import make_folder, remove_leftovers
    from napari_umpire.slides.convert import write_slide
    from napari_umpire.slides.elements import element_name
    from napari_umpire.slides.open import open_slides
    from umpire_training.console import say

    if not options.slides:
        raise InputError("No slides were given", fix="Name them after the verb")
    if options.image is not None and len(options.slides) > 1:
        raise InputError("--image goes with a single slide", got=f"{len(options.slides)} slides")
    slides = [
        slide
        for path in options.slides
        for slide in open_slides(path, mpp=options.mpp, image=options.image)
    ]
    output = Path(options.output)
    if output.suffix == ".zarr":
        if len(slides) > 1:
            raise InputError(
                "One store cannot hold several slides",
                got=", ".join(slide.name for slide in slides),
                fix="Give a folder as --output",
            )
        targets = [output]
    else:
        targets = [output / f"{element_name(slide.name)}.zarr" for slide in slides]
    for target in targets:
        remove_leftovers(target)
    taken = [str(p) for p in targets if p.exists()]
    if taken or len(set(targets)) < len(targets):
        raise InputError(
            "A store would be overwritten", got=", ".join(taken) or "two slides of one name"
        )
    for slide, target in zip(slides, targets, strict=True):
        make_folder(target.parent)
        write_slide(slide, target)
        grid = "a grid of " if slide.platform == "image" else ""
        say(f"{target}: {grid}{slide.n_spots} spots, {slide.scale.describe()}")
