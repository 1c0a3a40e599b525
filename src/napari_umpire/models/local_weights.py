"""Weights of published image encoders: which there are, where to ask, and where a file is found.

Nothing here ever asks the network.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ENVIRONMENT", "PUBLISHED", "PublishedWeights", "find_weights", "weights_folder"]

ENVIRONMENT = "UMPIRE_WEIGHTS"
"""Environment variable that names the user's folder of weights."""

_FILES = ("model.safetensors", "pytorch_model.bin")
_ENDINGS = (".safetensors", ".bin", ".pth", ".pt")


@dataclass(frozen=True)
class PublishedWeights:
    """The weights of an image encoder as its authors publish them.

    Attributes
    ----------
    title
        What the encoder is called.
    hub
        Its repository, "owner/name", on the Hugging Face hub; that is also the page to ask at.
    gated
        Whether its authors admit each user by name.
    """

    title: str
    hub: str
    gated: bool = True

    @property
    def name(self) -> str:
        """Name of its files in a folder of weights."""
        return self.hub.partition("/")[2]

    def place(self, folder: Path) -> Path:
        """Where to put the downloaded file."""
        return folder / f"{self.name}.bin"


PUBLISHED = (
    PublishedWeights("Phikon", "owkin/phikon", gated=False),
    PublishedWeights("UNI", "MahmoodLab/uni"),
    PublishedWeights("UNI2-h", "MahmoodLab/UNI2-h"),
    PublishedWeights("CONCH", "MahmoodLab/CONCH"),
    PublishedWeights("Virchow2", "paige-ai/Virchow2"),
    PublishedWeights("H-optimus-0", "bioptimus/H-optimus-0"),
    PublishedWeights("H-optimus-1", "bioptimus/H-optimus-1"),
)


def weights_folder() -> Path | None:
    """The user's folder of weights by the environment; None where none is named."""
    named = os.environ.get(ENVIRONMENT, "").strip()
    return Path(named).expanduser() if named else None


def find_weights(hub_id: str, folder: Path | None = None) -> Path | None:
    """The weights file of a hub repository on this computer, None where it is not here.

    Parameters
    ----------
    hub_id
        "owner/name".
    folder
        Looked in first, for ``name.safetensors`` (or ``.bin``, ``.pth``, ``.pt``) and for a folder
        ``name`` with a file as the hub calls it; then the hub's own cache. Case does not matter.
    """
    name = hub_id.partition("/")[2].lower()
    if folder is not None and folder.is_dir():
        inside = {p.name.lower(): p for p in sorted(folder.iterdir())}
        for ending in _ENDINGS:
            found = inside.get(name + ending)
            if found is not None and found.is_file():
                return found
        for file in _FILES:
            of_hub = inside.get(name, folder / name) / file
            if of_hub.is_file():
                return of_hub
    from huggingface_hub import try_to_load_from_cache

    for file in _FILES:
        cached = try_to_load_from_cache(hub_id, file)
        if isinstance(cached, str) and Path(cached).is_file():
            return Path(cached)
    return None
