"""Blinking: measured and predicted in turn in the same place, where the eye sees what changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_umpire.plugin.session.session import session_of

if TYPE_CHECKING:
    from napari import Viewer

    from napari_umpire.plugin.layers.make import Kind
    from napari_umpire.plugin.session.session import Session

__all__ = ["BLINK_KEY", "bind_blink", "blink", "can_blink"]

BLINK_KEY = "b"


def can_blink(session: Session) -> bool:
    """Whether the gene shown has both a measured and a predicted map on the current slide."""
    state, gene = session.current, session.gene
    return (
        state is not None
        and gene is not None
        and {"predicted", "measured"} <= set(state.gene_maps(gene))
    )


def blink(session: Session) -> None:
    """Show the other of the two maps, on top of the same tissue; nothing where there are not two.

    The range is shared, or the colours would change with the map.
    """
    from dataclasses import replace

    if can_blink(session):
        kind: Kind = "measured" if session.kind == "predicted" else "predicted"
        shared = replace(session.range, shared=True)
        session.set_view(kind=kind, range=shared, beside=False)


def bind_blink(viewer: Viewer) -> None:
    """Let the key b blink while the canvas has the keyboard."""

    def on_key(viewer: Viewer) -> None:
        """Blink between the measured and the predicted map."""
        blink(session_of(viewer))

    viewer.bind_key(BLINK_KEY, on_key, overwrite=True)
