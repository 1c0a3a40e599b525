"""Keeping a trained slide-status head in the folder of its model."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from napari_umpire.models.abmil import Abmil
    from napari_umpire.models.status_config import StatusConfig

__all__ = ["keep_head"]


def keep_head(model_folder: Path, head: Abmil, config: StatusConfig) -> None:
    """Save the head; of a run that was killed after it had saved, keep what is there.

    Raises
    ------
    InputError
        Where another run made a head of this name meanwhile.
    """
    import torch

    from napari_umpire.errors import InputError
    from napari_umpire.models.status_head import head_folder, load_head, save_head

    folder = head_folder(model_folder, config.name)
    if folder.exists():
        there = load_head(folder)
        mine, state = head.state_dict(), there.module.state_dict()
        if there.config != config or any(not torch.equal(mine[k], state[k]) for k in mine):
            raise InputError(
                f"{folder} was made by another run meanwhile", fix="Choose another --name"
            )
        return
    save_head(model_folder, head, config)
