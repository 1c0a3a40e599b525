"""What is wrong with a SpatialData store that the library cannot read, where it can be told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

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
    scales = about.get("ome", about).get("multiscales")
    if scales is None:
        return bool(about.get(_KEY))
    return bool(scales) and all(scale.get(_KEY) for scale in scales[0].get("datasets", ()))


def _attributes(element: Path) -> dict[str, Any] | None:
    """Of zarr v3 or v2; None where there are none to be read."""
    for name, key in (("zarr.json", "attributes"), (".zattrs", None)):
        try:
            about = json.loads((element / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        return about.get(key, {}) if key is not None else about
    return None
