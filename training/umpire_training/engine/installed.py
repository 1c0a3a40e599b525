"""Whether the packages that train are there, before any of them is imported."""

from __future__ import annotations

from napari_umpire.errors import InputError

__all__ = ["need_lightning", "ready_lightning"]


def need_lightning() -> None:
    """Raise a sentence where the training packages are missing; imports nothing."""
    from importlib.util import find_spec

    missing = [name for name in ("lightning", "tensorboard") if find_spec(name) is None]
    if missing:
        raise InputError(
            f"Training needs {' and '.join(missing)}",
            fix="Install them with: pip install 'napari-umpire[train]'",
        )


def ready_lightning() -> None:
    """`need_lightning`, and a torchvision that lets lightning be imported."""
    need_lightning()
    from napari_umpire.models.torchvision_guard import heal

    heal()
