"""What the user set once for all in napari's own preferences."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

__all__ = ["COLORMAPS", "DEVICES", "Preferences", "plugin_settings", "preferences"]

Device = Literal["auto", "cpu", "cuda", "mps"]
DEVICES: tuple[Device, ...] = get_args(Device)
COLORMAPS = ("umpire", "viridis", "cividis", "inferno", "magma", "turbo", "gray")
"""Of expression; "umpire" is ours, made for pink tissue, the others are napari's."""

_PLUGIN = "napari-umpire"


@dataclass(frozen=True)
class Preferences:
    """The values that widgets start with; the defaults are those of the manifest.

    Attributes
    ----------
    device
        Where to compute.
    batch_size
        Patches per step.
    k
        References per spot.
    weights
        Folder with models and weights of image encoders; None: none is known.
    cache
        Folder of image features; None: the user's cache folder of this computer.
    range_mode
        How the range of a map is chosen at first, as in `RangeChoice`.
    colormap
        One of `COLORMAPS`.
    """

    device: Device = "auto"
    batch_size: int = 64
    k: int = 50
    weights: Path | None = None
    cache: Path | None = None
    range_mode: Literal["auto", "percentile", "absolute"] = "auto"
    colormap: str = "umpire"


def preferences() -> Preferences:
    """What napari's preferences say now.

    napari itself checks them against the manifest, and warns and falls back to the defaults where
    a settings file, written by hand or by another version, holds what cannot be.
    """
    settings = plugin_settings()
    if settings is None:
        return Preferences()
    run, folders, maps = settings.run, settings.folders, settings.maps
    return Preferences(
        device=run.device,
        batch_size=run.batch_size,
        k=run.k,
        weights=_folder(folders.weights),
        cache=_folder(folders.cache),
        range_mode=maps.range_mode,
        colormap=maps.colormap,
    )


def plugin_settings() -> Any:
    """Napari's own object of what was set; None where it has none.

    That is so in an older napari, and where a widget is used without its manifest, as by a script.
    """
    try:
        from napari.settings import get_plugin_settings

        return get_plugin_settings(_PLUGIN)
    except (ImportError, KeyError):
        return None


def _folder(text: str) -> Path | None:
    return Path(text.strip()).expanduser() if text.strip() else None
