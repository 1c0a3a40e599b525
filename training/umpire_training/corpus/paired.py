"""A paired set: patches and counts of the same spots, slide by slide, memory-mapped.

pairs.json, genes.csv (the vocabulary) and, per slide, a folder with patches.npy (n, px, px, 3)
uint8, tokens.npy (n, length) uint16, expression_{data,indices,indptr}.npy (CSR over the
vocabulary, log1p CP10k over all measured genes), measured.npy (which genes of the vocabulary the
slide has at all), spots.csv and slide.json (pitch, for neighbours).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from napari_umpire.errors import InputError
from umpire_training.corpus.building import new_folder, read_json, write_json
from umpire_training.corpus.npy import open_npy
from umpire_training.corpus.paired_check import check_expression, check_parts
from umpire_training.corpus.paired_slide import slide_folder, write_paired_slide

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import scipy.sparse as sp

    from napari_umpire.genes import GeneVocabulary
    from napari_umpire.inference.cache import FeatureCache
    from napari_umpire.progress import Steps
    from umpire_training.corpus.sources import Source
    from umpire_training.options import PatchOptions, QcOptions, TokenOptions

__all__ = [
    "PairedSet",
    "PairedSlide",
    "build_paired",
    "write_pairs_json",
]


_KEYS = ("vocabulary", "vocabulary_source", "patches", "tokens", "qc", "slides")
_SLIDE_KEYS = ("n_genes", "pitch_px")


@dataclass(frozen=True)
class PairedSlide:
    """One slide of a paired set; all arrays have a row per spot."""

    name: str
    path: Path

    @property
    def patches(self) -> np.ndarray:
        """(n, px, px, 3) uint8, memory-mapped."""
        return open_npy(self.path / "patches.npy")

    @property
    def tokens(self) -> np.ndarray:
        """(n, length) uint16, memory-mapped."""
        return open_npy(self.path / "tokens.npy")

    def neighbours(self, k: int, reach: float) -> np.ndarray:
        """Rows of each spot's neighbours within ``reach`` pitches, (n, k) int64, -1 for none."""
        from napari_umpire.slides.neighbourhood import neighbours

        yx = self.spots()[["y", "x"]].to_numpy()
        return neighbours(yx, self.facts()["pitch_px"], k, reach)

    def facts(self) -> dict[str, Any]:
        """n_genes of the vocabulary, pitch_px in full-resolution px."""
        return read_json(
            self.path / "slide.json", "slide of a paired set", "paired slide", keys=_SLIDE_KEYS
        )

    def expression(self) -> sp.csr_matrix:
        """(n, n_genes of the vocabulary) float32, log1p CP10k."""
        import scipy.sparse as sp

        data, indices, indptr = self.expression_parts(memory_map=False)
        n_genes = self.facts()["n_genes"]
        check_expression(data, indices, indptr, n_genes, self.path)
        return sp.csr_matrix((data, indices, indptr), (len(indptr) - 1, n_genes))

    def expression_parts(self, *, memory_map: bool = True) -> tuple[np.ndarray, ...]:
        """data, indices and indptr of `expression`, as they lie on the disk."""
        parts = (f"expression_{part}.npy" for part in ("data", "indices", "indptr"))
        return tuple(open_npy(self.path / part, memory_map=memory_map) for part in parts)

    def measured(self) -> np.ndarray:
        """(n_genes of the vocabulary,) bool: which genes the slide measured, found or not."""
        return open_npy(self.path / "measured.npy", memory_map=False)

    def spots(self) -> pd.DataFrame:
        """Index = spot id; columns y, x in full-resolution px.

        Raises
        ------
        InputError
            Where the table is missing or damaged.
        """
        path = self.path / "spots.csv"
        try:
            return pd.read_csv(path, index_col=0, dtype={0: str})
        except (OSError, ValueError) as error:
            raise InputError(
                f"{path} is missing or damaged", got=error, fix="Prepare the paired set again"
            ) from error


@dataclass(frozen=True)
class PairedSet:
    """An opened paired set.

    Attributes
    ----------
    cache
        Where features of frozen encoders are kept for other trainings on the same slides, if
        anywhere.
    """

    path: Path
    vocabulary: GeneVocabulary
    slides: tuple[PairedSlide, ...]
    facts: dict[str, Any]
    cache: FeatureCache | None = None

    @classmethod
    def open(cls, path: str | Path) -> PairedSet:
        """Open and check a folder that `build_paired` made.

        Raises
        ------
        InputError
            Where there is none, its vocabulary was changed, or a file of a slide is missing,
            damaged or of another size than is noted.
        """
        from napari_umpire.genes import GeneVocabulary

        path = Path(path)
        facts = read_json(path / "pairs.json", "paired set", "paired set", keys=_KEYS)
        vocabulary = replace(
            GeneVocabulary.read_csv(path / "genes.csv"), source=facts["vocabulary_source"]
        )
        if vocabulary.digest != facts["vocabulary"]:
            raise InputError(
                f"The vocabulary of the paired set {path} was changed", fix="Prepare it again"
            )
        slides = tuple(PairedSlide(s["name"], path / s["folder"]) for s in facts["slides"])
        px, length = facts["patches"]["size_px"], facts["tokens"]["length"]
        for slide, fact in zip(slides, facts["slides"], strict=True):
            n = fact["n_spots"]
            shape = {"patches": (n, px, px, 3), "tokens": (n, length)}
            check_parts(slide, shape, vocabulary.n_genes)
        return cls(path, vocabulary, slides, facts)

    @property
    def n_spots(self) -> int:
        """Spots in all slides."""
        return sum(s["n_spots"] for s in self.facts["slides"])

    @property
    def digest(self) -> str:
        """Of the spots and how they were prepared; a copy at another place has the same."""
        facts = [self.facts[name] for name in ("vocabulary", "patches", "tokens", "qc")]
        spots = [(s["name"], s["digest"], s["n_spots"]) for s in self.facts["slides"]]
        return hashlib.sha256(json.dumps([facts, spots]).encode()).hexdigest()


def build_paired(
    sources: Sequence[Source],
    vocabulary: GeneVocabulary,
    folder: str | Path,
    *,
    patches: PatchOptions,
    tokens: TokenOptions,
    qc: QcOptions,
    patches_from: Mapping[str, Path] | None = None,
) -> Steps[PairedSet]:
    """Cut patches, tokenise and normalise the good spots of each source into a new folder.

    Parameters
    ----------
    patches_from
        Name -> a patches.npy that `write_patches` made of the same spots, which is linked
        instead of cut again: only the vocabulary differs between the folds of an evaluation.
    """
    folder = Path(folder)
    facts = []
    with new_folder(folder) as partial:
        for number, source in enumerate(sources):
            inside = slide_folder(number, source.name)
            own = yield from write_paired_slide(
                source,
                vocabulary,
                partial / inside,
                patches=patches,
                tokens=tokens,
                qc=qc,
                patches_from=None if patches_from is None else patches_from[source.name],
            )
            facts.append({**own, "folder": inside})
        write_pairs_json(partial, facts, vocabulary, patches=patches, tokens=tokens, qc=qc)
    return PairedSet.open(folder)


def write_pairs_json(
    folder: Path,
    slides: Sequence[dict[str, Any]],
    vocabulary: GeneVocabulary,
    *,
    patches: PatchOptions,
    tokens: TokenOptions,
    qc: QcOptions,
    left_out: Sequence[dict[str, Any]] = (),
) -> None:
    """Make a folder of paired slides a paired set."""
    vocabulary.write_csv(folder / "genes.csv")
    write_json(
        folder / "pairs.json",
        {
            "kind": "paired set",
            "vocabulary": vocabulary.digest,
            "vocabulary_source": vocabulary.source,
            "patches": asdict(patches),
            "tokens": asdict(tokens),
            "qc": asdict(qc),
            "slides": list(slides),
            "left_out": list(left_out),
        },
    )
