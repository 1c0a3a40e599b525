"""Whether the files of a paired slide belong together, and hold what can be.

A file of another slide, or one that was damaged, must not be trained on: an index out of range
ends the process without a word, and a wrong row trains towards the wrong spot.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_umpire.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from umpire_training.corpus.paired import PairedSlide

__all__ = ["check_expression", "check_parts", "check_tokens"]

_BLOCK = 2**22
# log1p CP10k of a spot all of whose counts are of one gene, and room for rounding.
_HIGHEST = math.log1p(1e4) + 1e-3


def check_parts(slide: PairedSlide, shape: Mapping[str, tuple[int, ...]], n_genes: int) -> None:
    """Refuse a slide whose files are not of the same spots and genes.

    Parameters
    ----------
    shape
        What patches and tokens are in this paired set; the first number is that of the spots.
    n_genes
        Of the vocabulary.

    Raises
    ------
    InputError
        Naming the first file that differs.
    """
    n_spots = shape["patches"][0]
    for part, array in (("patches", slide.patches), ("tokens", slide.tokens)):
        _same(slide.path / f"{part}.npy", slide.name, array.shape, shape[part])
    data, indices, indptr = slide.expression_parts()
    _same(slide.path / "expression_indptr.npy", slide.name, indptr.shape, (n_spots + 1,))
    _same(slide.path / "expression_indices.npy", slide.name, indices.shape, (int(indptr[-1]),))
    _same(slide.path / "expression_data.npy", slide.name, data.shape, indices.shape)
    _same(slide.path / "measured.npy", slide.name, slide.measured().shape, (n_genes,))
    _same(slide.path / "spots.csv", slide.name, (len(slide.spots()),), (n_spots,))
    _same(slide.path / "slide.json", slide.name, (slide.facts()["n_genes"],), (n_genes,))


def check_expression(
    data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, n_genes: int, folder: Path
) -> None:
    """Refuse a sparse table that scipy would read beyond its ends, or whose values cannot be.

    Parameters
    ----------
    data, indices, indptr
        Of a CSR matrix with ``n_genes`` columns; memory-mapped ones are read block by block.
    folder
        Where they lie.

    Raises
    ------
    InputError
        Naming the file and what is wrong in it.
    """
    if indptr[0] != 0 or (np.diff(indptr) < 0).any():
        raise _damaged(
            folder / "expression_indptr.npy", "numbers that fall", "numbers that rise from 0"
        )
    for name, array, low, high in (
        ("indices", indices, 0, n_genes - 1),
        ("data", data, 0.0, _HIGHEST),
    ):
        for start in range(0, len(array), _BLOCK):
            block = array[start : start + _BLOCK]
            least, most = block.min(), block.max()
            # Not the other way round: a value that is no number is neither.
            if not (least >= low and most <= high):
                raise _damaged(
                    folder / f"expression_{name}.npy",
                    f"values from {least:g} to {most:g}",
                    f"values from {low:g} to {high:g}",
                )


def check_tokens(slide: PairedSlide, n_tokens: int) -> None:
    """Refuse tokens that the vocabulary does not have; read block by block.

    Raises
    ------
    InputError
        Naming the file, the row and the token.
    """
    tokens = slide.tokens
    rows = max(1, _BLOCK // max(1, tokens.shape[1]))
    for start in range(0, len(tokens), rows):
        block = tokens[start : start + rows]
        if block.max() >= n_tokens:
            row, column = np.argwhere(block >= n_tokens)[0]
            raise _damaged(
                slide.path / "tokens.npy",
                f"token {block[row, column]} in row {start + row}",
                f"tokens below {n_tokens}",
            )


def _same(path: Path, slide: str, got: tuple[Any, ...], expected: tuple[Any, ...]) -> None:
    if got != expected:
        raise InputError(
            f"{path} is damaged, or of another slide than {slide}",
            got=_words(got),
            expected=_words(expected),
            fix="Prepare the paired set again",
        )


def _words(shape: tuple[Any, ...]) -> str:
    return " x ".join(f"{n:,}" for n in shape)


def _damaged(path: Path, got: str, expected: str) -> InputError:
    return InputError(
        f"{path} is damaged", got=got, expected=expected, fix="Prepare the paired set again"
    )
