"""Light taken away by stain: optical density, and its parts by haematoxylin and eosin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["STAINS", "UNMIXING", "optical_density"]

STAINS = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
"""Density of red, green, blue of haematoxylin, eosin and DAB (Ruifrok and Johnston 2001)."""

UNMIXING = np.linalg.inv(STAINS / np.linalg.norm(STAINS, axis=1, keepdims=True))
"""(3, 3): density of red, green, blue times this is haematoxylin, eosin, third stain.

The inverse of `STAINS`, each scaled to length 1.
"""

_LEAST, _MOST = 1e-3, 1.2


def optical_density(pixels: Tensor) -> Tensor:
    """-log10((p + 1) / 256), with p the pixels as 0..255; 0 at white and growing with stain.

    Parameters
    ----------
    pixels
        Any shape, in 0..1.
    """
    return -((pixels * 255 + 1) / 256).clamp(_LEAST, _MOST).log10()
