"""A .npy file that grows by rows, so that data of unknown length streams to disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

__all__ = ["NpyWriter", "open_npy"]

# Room for any number of rows: the header is rewritten in place at the end.
_HEADER = 128


class NpyWriter:
    """Appends rows of one shape and type; the file is a readable .npy once closed.

    Parameters
    ----------
    path
        The file to write.
    row_shape
        Shape of one row; () for a flat array.
    """

    def __init__(self, path: Path, row_shape: tuple[int, ...], dtype: Any) -> None:
        self.row_shape, self.dtype, self.n_rows = tuple(row_shape), np.dtype(dtype), 0
        self._file = path.open("wb")
        self._file.write(b"\0" * _HEADER)

    def append(self, rows: np.ndarray) -> None:
        r"""Write ``rows``, (n, \\*row_shape)."""
        if rows.shape[1:] != self.row_shape:
            raise ValueError(f"rows of shape {rows.shape[1:]} in a file of {self.row_shape}")
        self._file.write(np.ascontiguousarray(rows, self.dtype).tobytes())
        self.n_rows += len(rows)

    def close(self) -> None:
        """Write the header, which says how many rows there are."""
        shape = (self.n_rows, *self.row_shape)
        header = repr({"descr": self.dtype.str, "fortran_order": False, "shape": shape})
        magic = b"\x93NUMPY\x01\x00"
        room = _HEADER - len(magic) - 2
        text = header.ljust(room - 1).encode("latin1") + b"\n"
        self._file.seek(0)
        self._file.write(magic + room.to_bytes(2, "little") + text)
        self._file.close()

    def __enter__(self) -> NpyWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_npy(path: Path, *, memory_map: bool = True) -> np.ndarray:
    """Read a .npy without pickle; memory-mapped, or whole where it has no rows to map."""
    from napari_umpire.errors import InputError

    try:
        try:
            return np.load(path, mmap_mode="r" if memory_map else None, allow_pickle=False)
        except ValueError:
            if not memory_map:
                raise
            # An empty array cannot be mapped; a file that is cut short fails again here.
            return np.load(path, allow_pickle=False)
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing", fix="Prepare the folder again") from error
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"{path} is damaged", got=error, fix="Prepare the folder again") from error
