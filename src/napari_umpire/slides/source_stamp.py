"""`SourceStamp`: what the files of a slide were when it was opened, to see that they still are it.

A slide is read piece by piece while it is used, and zarr reads a piece that is gone as black. So a
store that another program changes meanwhile would give a prediction of nothing that ever was.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_umpire.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["SourceStamp"]


@dataclass(frozen=True)
class SourceStamp:
    """Number, size and time of the files that a slide is read from.

    Attributes
    ----------
    paths
        Files, or folders with all that is in them.
    files, size, newest_ns
        How many there are, their bytes together, and when the last one was changed, ns.
    """

    paths: tuple[Path, ...]
    files: int
    size: int
    newest_ns: int

    @classmethod
    def of(cls, *paths: Path) -> SourceStamp:
        """Look at the files; what is not there counts as nothing."""
        files = size = newest = 0
        for path in paths:
            for stat in _stats(path):
                files += 1
                size += stat.st_size
                newest = max(newest, stat.st_mtime_ns)
        return cls(paths, files, size, newest)

    def check(self, name: str) -> None:
        """Look again.

        Raises
        ------
        InputError
            Where anything has changed; says what, and names the slide ``name``.
        """
        now = SourceStamp.of(*self.paths)
        if now == self:
            return
        if now.files != self.files:
            got = f"{now.files:,} files where there were {self.files:,}"
        elif now.size != self.size:
            got = f"{now.size:,} bytes where there were {self.size:,}"
        else:
            got = "files that were written again"
        raise InputError(
            f"The files of {name} were changed by another program since it was opened",
            got=got,
            expected="the files as they were",
            fix="Open the slide again",
        )


def _stats(path: Path) -> list[os.stat_result]:
    """Of a file, or of all files in a folder; what cannot be looked at counts as nothing."""
    try:
        with os.scandir(path) as entries:
            found = []
            for entry in entries:
                if entry.is_dir():
                    found += _stats(path / entry.name)
                else:
                    found.append(entry.stat())
            return found
    except NotADirectoryError:
        try:
            return [path.stat()]
        except OSError:  # a part of the path that was a folder is a file now
            return []
    except OSError:
        return []
