"""What a pre-trained gene encoder has seen, by content: names are the corpus maker's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_umpire.errors import InputError
from umpire_training.corpus.building import read_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["refuse_seen", "seen_sections"]


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


def refuse_seen(encoder: str | Path, held: Iterable[tuple[str, str]], *, fix: str) -> bool:
    """Refuse a pre-trained gene encoder that has seen what is to be held out.

    Parameters
    ----------
    encoder
        As `seen_sections` takes it.
    held
        Name and content digest of each section; what it was called there does not matter.
    fix
        What its user can do.

    Returns
    -------
    Whether it says what it has seen; where it does not, the caller decides what that means.

    Raises
    ------
    InputError
        It was pre-trained on the counts of a section.
    """
    seen = seen_sections(encoder)
    if seen is None:
        return False
    found = [f"{name} (there called {seen[digest]})" for name, digest in held if digest in seen]
    if found:
        raise InputError(
            f"The gene encoder {encoder} was pre-trained on what is to be held out",
            got=", ".join(found[:4]),
            expected="counts of other sections alone",
            fix=fix,
        )
    return True
