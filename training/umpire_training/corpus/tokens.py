"""A token corpus: a folder of rank tokens of many spots, memory-mapped.

tokens.npy (n_spots, length) uint16, spots.csv (spot, source, row, n_genes, n_counts), genes.csv
(the vocabulary), corpus.json (what it was made of, and what of each source was not in the
vocabulary).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_umpire.errors import InputError
from napari_umpire.progress import Progress
from umpire_training.corpus.building import new_folder, read_json, write_json
from umpire_training.corpus.npy import NpyWriter, open_npy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_umpire.genes import GeneVocabulary
    from napari_umpire.progress import Steps
    from umpire_training.corpus.sources import Source
    from umpire_training.options import QcOptions, TokenOptions

__all__ = ["TokenCorpus", "build_corpus"]

_COLUMNS = ("spot", "source", "row", "n_genes", "n_counts")


@dataclass(frozen=True)
class TokenCorpus:
    """An opened token corpus.

    Attributes
    ----------
    tokens
        (n_spots, length) uint16, memory-mapped; padded with 1.
    """

    path: Path
    vocabulary: GeneVocabulary
    tokens: np.ndarray
    facts: dict[str, Any]

    @classmethod
    def open(cls, path: str | Path) -> TokenCorpus:
        """Open and check a folder that `build_corpus` made."""
        from napari_umpire.genes import GeneVocabulary

        path = Path(path)
        facts = read_json(path / "corpus.json", "token corpus", "token corpus")
        vocabulary = GeneVocabulary.read_csv(path / "genes.csv")
        tokens = open_npy(path / "tokens.npy")
        shape = (facts["n_spots"], facts["length"])
        if vocabulary.digest != facts["vocabulary"] or tokens.shape != shape:
            raise InputError(
                f"The parts of the token corpus {path} do not belong together",
                got=f"tokens {tokens.shape}, vocabulary {vocabulary.digest}",
                expected=f"tokens {shape}, vocabulary {facts['vocabulary']}",
                fix="Prepare it again",
            )
        return cls(path, vocabulary, tokens, facts)

    def spots(self) -> pd.DataFrame:
        """One row per spot: spot, source, row in the source, n_genes, n_counts."""
        return pd.read_csv(self.path / "spots.csv", dtype={"spot": str, "source": str})


def build_corpus(
    sources: Sequence[Source],
    vocabulary: GeneVocabulary,
    folder: str | Path,
    *,
    tokens: TokenOptions,
    qc: QcOptions,
) -> Steps[TokenCorpus]:
    """Tokenise every source into a new folder, part by part, in bounded memory.

    Raises
    ------
    InputError
        A source that shares no gene with the vocabulary, or no spot that passes ``qc`` at all.
    """
    from napari_umpire.genes import rank_tokens, require_mapped

    folder = Path(folder)
    reports = []
    with new_folder(folder) as partial:
        vocabulary.write_csv(partial / "genes.csv")
        with NpyWriter(partial / "tokens.npy", (tokens.length,), np.uint16) as out:
            for i, source in enumerate(sources):
                yield Progress("tokens", i, len(sources), "sources")
                kept, mapping = 0, None
                for part in source.parts(qc):
                    if mapping is None:
                        mapping = vocabulary.map(part.genes)
                        require_mapped(mapping, where=source.path, other="the vocabulary")
                    counts = mapping.apply(part.counts)
                    out.append(
                        rank_tokens(
                            counts,
                            vocabulary.means,
                            length=tokens.length,
                            rounding=tokens.rounding,
                        )
                    )
                    _append_spots(partial / "spots.csv", source.name, part)
                    kept += len(part.spots)
                if mapping is None:
                    raise InputError(f"{source.path} holds no spots", fix="Leave it out")
                reports.append(
                    {
                        "name": source.name,
                        "path": source.path,
                        "n_spots": kept,
                        "n_genes": len(mapping.index),
                        "n_mapped": int(mapping.n_mapped),
                        "mapping": mapping.report(),
                    }
                )
            n_spots = out.n_rows
        if not n_spots:
            raise InputError(
                "No spot of any source passed quality control",
                expected=f"spots with at least {qc.min_genes} detected genes",
                fix="Lower qc.min_genes, or check the sources",
            )
        write_json(
            partial / "corpus.json",
            {
                "kind": "token corpus",
                "n_spots": n_spots,
                "length": tokens.length,
                "rounding": tokens.rounding,
                "vocabulary": vocabulary.digest,
                "qc": asdict(qc),
                "sources": reports,
            },
        )
    yield Progress("tokens", len(sources), len(sources), "sources")
    return TokenCorpus.open(folder)


def _append_spots(path: Path, name: str, part: Any) -> None:
    frame = pd.DataFrame(
        {
            "spot": part.spots,
            "source": name,
            "row": part.rows,
            "n_genes": np.diff(part.counts.indptr),
            "n_counts": np.asarray(part.counts.sum(axis=1)).ravel(),
        },
        columns=list(_COLUMNS),
    )
    frame.to_csv(path, mode="a", header=not path.exists(), index=False)
