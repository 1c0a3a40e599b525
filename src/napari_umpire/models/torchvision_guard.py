"""Heals a torchvision whose compiled operators do not match the installed torch."""

from __future__ import annotations

import multiprocessing
import os
import sys
import warnings
from typing import Any

from napari_umpire.errors import UmpireWarning

__all__ = ["heal", "is_mended"]

# The schemas must stay registered for as long as torchvision is imported; a torch.library fragment
# unregisters its operators when it is collected.
_kept_alive: list[Any] = []

_MISSING = "operator torchvision::nms does not exist"
_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def heal() -> bool:
    """Make ``import torchvision`` work beside a torch that it was not built for.

    timm, lightning and torchmetrics import torchvision. Where its compiled operators cannot load
    (a CUDA build beside a CPU torch, say) that import raises ``operator torchvision::nms does not
    exist``, and they fail with it, although none of them needs the operator here. Then, and only
    then, the two missing schemas are declared, which lets the import pass, and a warning says so,
    once for all processes of a run. Call this before importing any of the three; with a healthy
    or an absent torchvision it does nothing.

    Returns
    -------
    True where something had to be mended by this call.
    """
    if "torchvision" in sys.modules:
        return False
    try:
        import torchvision
    except ModuleNotFoundError:
        return False
    except RuntimeError as error:
        if _MISSING not in str(error):
            raise
    else:
        return False

    import torch

    # What the failed import left half-initialised would be taken for the real thing.
    for name in [n for n in sys.modules if n == "torchvision" or n.startswith("torchvision.")]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        library.define(operator + _SCHEMA)
    _kept_alive.append(library)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torchvision tells again that its extension is missing
        import torchvision  # noqa: F401
    if _is_first():
        warnings.warn(
            f"The installed torchvision does not match torch {torch.__version__}. It works for "
            "what is needed here; install the torchvision of the same build to be rid of this "
            "message.",
            UmpireWarning,
            stacklevel=2,
        )
    return True


def _is_first() -> bool:
    """Whether this is the process that a user started: its workers need not repeat what it said."""
    return multiprocessing.parent_process() is None and os.environ.get("RANK", "0") == "0"


def is_mended() -> bool:
    """Whether `heal` had to mend the torchvision of this process."""
    return bool(_kept_alive)
