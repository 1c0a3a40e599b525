"""A token corpus: a folder of rank tokens of many spots.

corpus.json (what it was made of, and what was left out), README.md (the same for people), genes.csv
(the vocabulary), tokens/shard-*.npy ((n, length) uint16 each), spots.parquet (a row per spot) and
SHA256SUMS.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_umpire.errors import InputError
from napari_umpire.progress import Progress
from umpire_training.corpus.building import new_folder, read_json, write_json
from umpire_training.corpus.data_card import write_card
from umpire_training.corpus.shards import TokenShards
from umpire_training.corpus.spot_index import read_index, write_index
from umpire_training.corpus.token_files import Piece, join_pieces, write_piece

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    import pandas as pd

    from napari_umpire.genes import GeneVocabulary
    from napari_umpire.progress import Steps
    from umpire_training.corpus.sources import Source
    from umpire_training.options import QcOptions, TokenOptions

__all__ = ["SHARD_SPOTS", "TokenCorpus", "build_corpus", "fill_corpus"]

SHARD_SPOTS = 131_072
"""Rows of a shard: 393 MB at 1,500 tokens."""

_KEYS = (
    "n_spots", "length", "rounding", "vocabulary", "vocabulary_source", "shard_spots", "shards",
    "sources",
)  # fmt: skip


@dataclass(frozen=True)
class TokenCorpus:
    """An opened token corpus.

    Attributes
    ----------
    tokens
        (n_spots, length) uint16; padded with 1. Indexed by rows as an array is.
    """

    path: Path
    vocabulary: GeneVocabulary
    tokens: TokenShards
    facts: dict[str, Any]

    @classmethod
    def open(cls, path: str | Path) -> TokenCorpus:
        """Open and check a folder that `build_corpus` or `prepare` made.

        Raises
        ------
        InputError
            Where it is none, or its parts are missing, cut short or not of one another.
        """
        from napari_umpire.genes import GeneVocabulary

        path = Path(path)
        facts = read_json(path / "corpus.json", "token corpus", "token corpus", keys=_KEYS)
        vocabulary = GeneVocabulary.read_csv(path / "genes.csv")
        vocabulary = replace(vocabulary, source=facts["vocabulary_source"])
        if vocabulary.digest != facts["vocabulary"]:
            raise InputError(
                f"The parts of the token corpus {path} do not belong together",
                got=f"vocabulary {vocabulary.digest}",
                expected=facts["vocabulary"],
                fix="Prepare it again",
            )
        tokens = TokenShards(
            [path / "tokens" / shard["file"] for shard in facts["shards"]],
            (facts["n_spots"], facts["length"]),
            facts["shard_spots"],
            n_tokens=vocabulary.n_tokens,
        )
        return cls(path, vocabulary, tokens, facts)

    @property
    def digest(self) -> str:
        """16 hex digits of vocabulary and tokens, as they were when the corpus was made."""
        shards = "".join(shard["sha256"] for shard in self.facts["shards"])
        return hashlib.sha256(f"{self.vocabulary.digest}{shards}".encode()).hexdigest()[:16]

    def spots(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """A row per spot: spot, source, row in it, shard, shard_row, n_genes, n_counts, n_tokens.

        Parameters
        ----------
        columns
            The ones wanted, where not all: a corpus of millions is large as a table.
        """
        return read_index(self.path / "spots.parquet", columns, n_rows=len(self.tokens))

    def n_tokens(self) -> np.ndarray:
        """(n_spots,) int32: tokens of each spot before the padding."""
        return self.spots(["n_tokens"])["n_tokens"].to_numpy()


def build_corpus(
    sources: Iterable[Source],
    vocabulary: GeneVocabulary,
    folder: str | Path,
    *,
    tokens: TokenOptions,
    qc: QcOptions,
    shard_spots: int = SHARD_SPOTS,
    surveyed: Sequence[dict[str, Any]] | None = None,
) -> Steps[TokenCorpus]:
    """Tokenise every source into a new folder, in this process; `prepare` uses several.

    Parameters
    ----------
    surveyed
        Further facts of each source, as in `fill_corpus`.

    Raises
    ------
    InputError
        A source that shares no gene with the vocabulary, or no spot that passes ``qc`` at all.
    """
    folder, sources = Path(folder), list(sources)
    with new_folder(folder) as partial:
        work = partial / "work"
        work.mkdir()
        pieces = []
        for i, source in enumerate(sources):
            yield Progress("tokens", i, len(sources), "sources")
            path = work / f"{i:05d}"
            pieces.append(Piece(path, write_piece(source, path, vocabulary, tokens, qc)))
        yield Progress("tokens", len(sources), len(sources), "sources")
        yield from fill_corpus(
            partial,
            pieces,
            vocabulary,
            tokens=tokens,
            qc=qc,
            shard_spots=shard_spots,
            surveyed=surveyed,
        )
        for left in work.iterdir():
            left.unlink()
        work.rmdir()
    return TokenCorpus.open(folder)


def fill_corpus(
    folder: Path,
    pieces: Sequence[Piece],
    vocabulary: GeneVocabulary,
    *,
    tokens: TokenOptions,
    qc: QcOptions,
    shard_spots: int = SHARD_SPOTS,
    surveyed: Sequence[dict[str, Any]] | None = None,
    left_out: Sequence[dict[str, Any]] = (),
) -> Steps[None]:
    """Join ``pieces`` to the corpus in ``folder``, which may hold shards of an attempt before.

    Parameters
    ----------
    surveyed
        Further facts of each piece's source, for the card.
    left_out
        name, path, why and reason of what is not in the corpus.

    Raises
    ------
    InputError
        Where no spot passed quality control.
    """
    from napari_umpire import __version__

    n_spots = sum(piece.n_rows for piece in pieces)
    if not n_spots:
        raise InputError(
            "No spot of any source passed quality control",
            expected=f"spots with at least {qc.min_genes} detected genes",
            fix="Lower qc.min_genes, or check the sources",
        )
    more = surveyed if surveyed is not None else [{}] * len(pieces)
    sources, first = [], 0
    for piece, own in zip(pieces, more, strict=True):
        sources.append({**own, **piece.facts, "first_row": first})
        first += piece.n_rows
    vocabulary.write_csv(folder / "genes.csv")
    shards_folder = folder / "tokens"
    shards_folder.mkdir(exist_ok=True)
    write_index(folder / "spots.parquet", pieces, shard_spots)
    shards = yield from join_pieces(pieces, shards_folder, tokens.length, shard_spots)
    facts = {
        "kind": "token corpus",
        "version": __version__,
        "n_spots": n_spots,
        "length": tokens.length,
        "rounding": tokens.rounding,
        "vocabulary": vocabulary.digest,
        "vocabulary_source": vocabulary.source,
        "n_vocabulary": vocabulary.n_genes,
        "qc": asdict(qc),
        "shard_spots": shard_spots,
        "shards": shards,
        "sources": sources,
        "left_out": list(left_out),
    }
    for shard in shards:
        (shards_folder / shard["file"]).with_suffix(".json").unlink(missing_ok=True)
    write_json(folder / "corpus.json", facts)
    write_card(folder, facts)
