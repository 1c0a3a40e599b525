"""What is wrong with a SpatialData store that the library cannot read, where it can be told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_umpire.bounded import read_json
from napari_umpire.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["without_transform"]

_KEY = "coordinateTransformations"


def without_transform(store: Path) -> str | None:
    """An element whose place is not written down, such as "image 'he'"; None where all have one."""
    for kind in ("images", "labels", "shapes", "points"):
        folders = (p for p in (store / kind).glob("*") if p.is_dir())
        for element in sorted(folders):
            about = _attributes(element)
            if about is not None and not _placed(about):
                return f"{kind.removesuffix('s')} {element.name!r}"
    return None


def _placed(about: dict[str, Any]) -> bool:
    """Whether it says where it lies; what is no description of a place is for others to say."""
    ome = about.get("ome", about)
    scales = ome.get("multiscales") if isinstance(ome, dict) else None
    if scales is None:
        return bool(about.get(_KEY))
    if not (isinstance(scales, list) and scales and isinstance(scales[0], dict)):
        return False
    levels = scales[0].get("datasets", ())
    return all(level.get(_KEY) for level in levels if isinstance(level, dict))


def _attributes(element: Path) -> dict[str, Any] | None:
    """Of zarr v3 or v2; None where there are none to be read."""
    for name, key in (("zarr.json", "attributes"), (".zattrs", None)):
        try:
            about = read_json(element / name)
        except InputError:
            continue
        about = about.get(key, {}) if key is not None and isinstance(about, dict) else about
        return about if isinstance(about, dict) else None
    return None
