"""A panel: the genes that an encoder of expression values reads, in the order of its input."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_umpire.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["check_panel", "check_values"]


def check_panel(panel: tuple[str, ...], n_genes: int) -> None:
    """Refuse gene ids of another number than ``n_genes``; there may be none.

    Raises
    ------
    InputError
        Where there are some, but fewer or more.
    """
    if panel and len(panel) != n_genes:
        raise InputError(
            "The gene panel and its stated size differ",
            got=f"{len(panel)} gene ids",
            expected=f"{n_genes}",
        )


def check_values(expression: Tensor, n_genes: int) -> None:
    """Refuse what is not (B, ``n_genes``).

    Raises
    ------
    InputError
        With both shapes.
    """
    if expression.ndim != 2 or expression.shape[1] != n_genes:
        raise InputError(
            "The expression does not fit the gene encoder's panel",
            got=f"an array of shape {tuple(expression.shape)}",
            expected=f"(spots, {n_genes})",
        )
