"""Bounds on the numbers of a configuration, which nobody vouches for."""

from __future__ import annotations

from napari_umpire.errors import InputError

__all__ = ["HEADS", "LAYERS", "LENGTHS", "MANY", "WIDTHS", "check_bounds"]

WIDTHS = 1, 65_536
"""Of a layer; the widest of any published encoder here has 8,192 units."""
MANY = 0, 65_536
HEADS, LAYERS = (1, 1_024), (0, 1_000)
LENGTHS = 1, 65_536
"""Of a sequence, of a vocabulary with its reserved ids, of a panel: 16 bits."""


def check_bounds(where: str, config: object, **bounds: tuple[float, float]) -> None:
    """Refuse numbers of ``config`` that lie outside their bounds; None is within all.

    Parameters
    ----------
    where
        What the configuration is of.
    bounds
        Lowest and highest number of an attribute, both included; for a tuple, of each in it.

    Raises
    ------
    InputError
        For the first that is outside, or not a number.
    """
    for name, (low, high) in bounds.items():
        value = getattr(config, name)
        for one in value if isinstance(value, (tuple, list)) else (value,):
            if one is not None and not low <= one <= high:
                raise InputError(
                    f"{where} has an impossible {name}",
                    got=f"{name} {one}",
                    expected=f"a number from {low:,g} to {high:,.10g}",
                    fix="Check the configuration; where nobody changed it, get the model again",
                )
