"""`umpire-train doctor`: is this computer, a model, a slide ready."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Options", "run"]


@dataclass(kw_only=True)
class Options:
    """Checks with what was found and how to mend it; never asks the network.

    Parameters
    ----------
    model
        Model folder to look at.
    slide
        Slide to look at.
    device
        Where a prediction would compute.
    output
        Folder that results would go to; null: the current one.
    cache
        Folder of image features; null: none.
    weights
        Folder with weights of image encoders; null: what UMPIRE_WEIGHTS names.
    """

    model: str | None = None
    slide: str | None = None
    device: str = "auto"
    output: str | None = None
    cache: str | None = None
    weights: str | None = None


def run(options: Options) -> int:
    """Print the table; 0, or 1 where something will not work."""
    from pathlib import Path

    from napari_umpire.inference.doctor.checkup import Questions, as_text, check_steps, worst
    from umpire_training.console import follow, write_out

    folders = [("results", Path(options.output or ".").absolute())]
    if options.cache is not None:
        folders.append(("the cache", Path(options.cache)))
    ask = Questions(
        model=options.model,
        slide=options.slide,
        device=options.device,
        folders=tuple(folders),
        weights=None if options.weights is None else Path(options.weights).expanduser(),
    )
    checks = follow(check_steps(ask))
    write_out(as_text(checks))
    return 1 if worst(checks) == "FAIL" else 0
