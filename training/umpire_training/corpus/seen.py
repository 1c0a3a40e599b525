"""What a pre-trained gene encoder has seen, by content: names are the corpus maker's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from umpire_training.corpus.building import read_json

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["seen_sections"]


def seen_sections(encoder: str | Path) -> Mapping[str, str] | None:
    """Content digest -> name of the sections that an encoder was pre-trained on.

    Parameters
    ----------
    encoder
        An encoder folder, or the run folder of `pretrain` that holds one.

    Returns
    -------
    None where the folder does not say it of every section, as with published weights.

    Raises
    ------
    InputError
        Where there is no encoder.
    """
    path = Path(encoder)
    path = path / "encoder" if (path / "encoder").is_dir() else path
    facts = read_json(
        path / "encoder.json", "pre-trained gene encoder", "gene encoder", made_by="pretrain"
    )
    contents = facts.get("trained_on_content") or [""]
    if not all(contents):
        return None
    return dict(zip(contents, facts.get("trained_on") or contents, strict=True))
