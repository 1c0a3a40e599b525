"""Several slides of one store or folder: one that cannot be read does not stop the others."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from napari_umpire.errors import InputError, UmpireWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from napari_umpire.slides.slide import Slide

__all__ = ["read_each"]


def read_each(names: Iterable[str], read: Callable[[str], Slide], what: str) -> list[Slide]:
    """Return the slides that can be read, with a warning for each that cannot.

    Parameters
    ----------
    names
        Of the slides, at least one.
    read
        Opens one of them.
    what
        What a slide is of whom, for the warning: "A region of a.zarr".

    Raises
    ------
    InputError
        Where none can be read: what is wrong with the first.
    """
    slides: list[Slide] = []
    problems: list[InputError] = []
    for name in names:
        try:
            slides.append(read(name))
        except InputError as error:
            problems.append(error)
    if not slides:
        raise problems[0]
    for problem in problems:
        warnings.warn(f"{what} is left out: {problem}", UmpireWarning, stacklevel=3)
    return slides
