"""The tokens of one source as files of their own, and many of them joined to shards.

A piece is three files: KEY.npy (tokens), KEY.parquet (a row per spot) and KEY.json (the facts),
which is written last: a piece without it is not there. Joining takes the pieces in order and cuts
them into shards of equal size; each goes when the last shard with rows of it is whole, so that the
disk holds little more than the corpus once.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_umpire.errors import InputError
from napari_umpire.files import replace_file
from napari_umpire.progress import Progress
from umpire_training.corpus.npy import NpyWriter, open_npy

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_umpire.genes import GeneVocabulary
    from napari_umpire.progress import Steps
    from umpire_training.corpus.sources import Source
    from umpire_training.options import QcOptions, TokenOptions

__all__ = ["Piece", "join_pieces", "read_piece", "write_piece"]

_BLOCK = 8192


@dataclass(frozen=True)
class Piece:
    """The tokens of one source.

    Attributes
    ----------
    path
        Its files without their endings.
    facts
        name, path, layout, n_spots, n_seen, n_columns, n_mapped, n_genes, mapping, digest.
    """

    path: Path
    facts: dict[str, Any]

    @property
    def n_rows(self) -> int:
        """Spots in it."""
        return int(self.facts["n_spots"])

    def remove(self) -> None:
        """Take away the tokens; the facts and the spots stay until the corpus is whole."""
        self.path.with_suffix(".npy").unlink(missing_ok=True)


def read_piece(path: Path) -> Piece | None:
    """The piece at ``path``, None where it is not there or not whole."""
    try:
        facts = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return Piece(path, facts)


def write_piece(
    source: Source,
    path: Path,
    vocabulary: GeneVocabulary,
    tokens: TokenOptions,
    qc: QcOptions,
) -> dict[str, Any]:
    """Tokenise a source, part by part, in bounded memory; its facts.

    Raises
    ------
    InputError
        Where it cannot be read, holds no spots, or shares no gene with the vocabulary.
    """
    from napari_umpire.genes import rank_tokens, require_mapped

    mapping = None
    n_seen = n_kept = 0
    digest = hashlib.sha256()
    frames = []
    with replace_file(path.with_suffix(".npy")) as written:
        with NpyWriter(written, (tokens.length,), np.uint16) as out:
            for chunk in source.parts(qc):
                n_seen += chunk.n_seen
                if mapping is None:
                    mapping = vocabulary.map(chunk.genes)
                    require_mapped(mapping, where=source.path, other="the vocabulary")
                ranks = rank_tokens(
                    mapping.apply(chunk.counts),
                    vocabulary.means,
                    length=tokens.length,
                    rounding=tokens.rounding,
                )
                digest.update(ranks.tobytes())
                out.append(ranks)
                frames.append(_spots(chunk, ranks))
                n_kept += len(ranks)
        if mapping is None:
            raise InputError(f"{source.path} holds no spots", fix="Leave it out")
    with replace_file(path.with_suffix(".parquet")) as written:
        pd.concat(frames, ignore_index=True).to_parquet(written, index=False)
    facts = {
        "name": source.name,
        "path": source.path,
        "layout": source.layout,
        "n_spots": n_kept,
        "n_seen": n_seen,
        "n_columns": len(mapping.index),
        "n_mapped": int(mapping.n_mapped),
        "n_genes": int(mapping.n_genes),
        "mapping": mapping.report(),
        "digest": digest.hexdigest(),
    }
    with replace_file(path.with_suffix(".json")) as written:
        written.write_text(json.dumps(facts), encoding="utf-8")
    return facts


def _spots(chunk: Any, ranks: np.ndarray) -> pd.DataFrame:
    from napari_umpire.genes import PAD_ID

    ends = np.concatenate([[0], np.cumsum(chunk.counts.data, dtype=np.int64)])
    return pd.DataFrame(
        {
            "spot": chunk.spots,
            "row": chunk.rows,
            "n_genes": np.diff(chunk.counts.indptr).astype(np.int32),
            "n_counts": np.diff(ends[chunk.counts.indptr]),
            "n_tokens": (ranks != PAD_ID).sum(axis=1).astype(np.int32),
        }
    )


def join_pieces(
    pieces: Sequence[Piece], folder: Path, length: int, shard_rows: int
) -> Steps[list[dict[str, Any]]]:
    """Make the shards of a corpus out of its pieces; shards that are there already stay.

    Returns
    -------
    Per shard its file, n_spots and sha256.
    """
    ends = np.cumsum([piece.n_rows for piece in pieces])
    n_rows = int(ends[-1])
    shards: list[dict[str, Any]] = []
    gone = 0
    for first in range(0, n_rows, shard_rows):
        last = min(first + shard_rows, n_rows)
        path = folder / f"shard-{len(shards):05d}.npy"
        note = path.with_suffix(".json")
        if not note.is_file():
            digest = _join(pieces, ends, first, last, path, length)
            fact = {"file": path.name, "n_spots": last - first, "sha256": digest}
            with replace_file(note) as written:
                written.write_text(json.dumps(fact), encoding="utf-8")
        shards.append(json.loads(note.read_text(encoding="utf-8")))
        while gone < len(pieces) and ends[gone] <= last:
            pieces[gone].remove()
            gone += 1
        yield Progress("joining", last, n_rows)
    return shards


def _join(
    pieces: Sequence[Piece], ends: np.ndarray, first: int, last: int, path: Path, length: int
) -> str:
    digest = hashlib.sha256()
    with replace_file(path) as written:
        with NpyWriter(written, (length,), np.uint16) as out:
            row = first
            while row < last:
                at = int(np.searchsorted(ends, row, side="right"))
                start = int(ends[at]) - pieces[at].n_rows
                tokens = open_npy(pieces[at].path.with_suffix(".npy"))
                if tokens.shape != (pieces[at].n_rows, length):
                    raise InputError(
                        f"{pieces[at].path}.npy is damaged",
                        got=tokens.shape,
                        expected=(pieces[at].n_rows, length),
                        fix="Prepare the corpus anew",
                    )
                stop = min(last, int(ends[at]), row + _BLOCK)
                out.append(tokens[row - start : stop - start])
                row = stop
        # Of the whole file, so that sha256sum finds the same.
        with written.open("rb") as file:
            while block := file.read(2**22):
                digest.update(block)
    return digest.hexdigest()
