"""A slide to try the plugin with, made on the spot, offline."""

from __future__ import annotations

from typing import Any

__all__ = ["synthetic_slide"]


def synthetic_slide() -> list[tuple[Any, dict[str, Any], str]]:
    """One synthetic Visium section: image, spots and counts that follow the tissue."""
    from napari_umpire.plugin.layers.make import slide_layer
    from napari_umpire.slides.synthetic import make_slide

    return [slide_layer(make_slide(seed=0))]
