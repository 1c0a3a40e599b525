"""A paired set: patches and counts of the same spots, slide by slide, memory-mapped.

pairs.json, genes.csv (the vocabulary) and, per slide, a folder with patches.npy (n, px, px, 3)
uint8, tokens.npy (n, length) uint16, expression_{data,indices,indptr}.npy (CSR over the
vocabulary, log1p CP10k over all measured genes), spots.csv and slide.json (pitch, for neighbours).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_umpire.errors import InputError
from napari_umpire.genes.normalise import vocabulary_expression
from napari_umpire.progress import Progress
from napari_umpire.slides.elements import element_name
from umpire_training.corpus.building import link_or_copy, new_folder, read_json, write_json
from umpire_training.corpus.npy import open_npy
from umpire_training.corpus.qc import good_spots

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import scipy.sparse as sp

    from napari_umpire.genes import GeneVocabulary
    from napari_umpire.progress import Steps
    from napari_umpire.slides.slide import Slide
    from umpire_training.corpus.sources import SlideSource
    from umpire_training.options import PatchOptions, QcOptions, TokenOptions

__all__ = [
    "PairedSet",
    "PairedSlide",
    "build_paired",
    "write_patches",
]


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

    def neighbours(self, k: int) -> np.ndarray:
        """(n, k) int64 rows of each spot's neighbours in the array, -1 where there is none."""
        from napari_umpire.slides.neighbourhood import neighbours

        return neighbours(self.spots()[["y", "x"]].to_numpy(), self.facts()["pitch_px"], k)

    def facts(self) -> dict[str, Any]:
        """n_genes of the vocabulary, pitch_px in full-resolution px."""
        return read_json(self.path / "slide.json", "slide of a paired set", "paired slide")

    def expression(self) -> sp.csr_matrix:
        """(n, n_genes of the vocabulary) float32, log1p CP10k."""
        import scipy.sparse as sp

        data, indices, indptr = (
            open_npy(self.path / f"expression_{part}.npy", memory_map=False)
            for part in ("data", "indices", "indptr")
        )
        return sp.csr_matrix((data, indices, indptr), (len(indptr) - 1, self.facts()["n_genes"]))

    def spots(self) -> pd.DataFrame:
        """Index = spot id; columns y, x in full-resolution px."""
        return pd.read_csv(self.path / "spots.csv", index_col=0, dtype={0: str})


@dataclass(frozen=True)
class PairedSet:
    """An opened paired set."""

    path: Path
    vocabulary: GeneVocabulary
    slides: tuple[PairedSlide, ...]
    facts: dict[str, Any]

    @classmethod
    def open(cls, path: str | Path) -> PairedSet:
        """Open and check a folder that `build_paired` made."""
        from napari_umpire.genes import GeneVocabulary

        path = Path(path)
        facts = read_json(path / "pairs.json", "paired set", "paired set")
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
            shapes = slide.patches.shape, slide.tokens.shape
            wanted = (fact["n_spots"], px, px, 3), (fact["n_spots"], length)
            if shapes != wanted:
                raise InputError(
                    f"Slide {slide.name} of the paired set {path} is damaged",
                    got=shapes,
                    expected=wanted,
                    fix="Prepare it again",
                )
        return cls(path, vocabulary, slides, facts)

    @property
    def n_spots(self) -> int:
        """Spots in all slides."""
        return sum(s["n_spots"] for s in self.facts["slides"])


def build_paired(
    sources: Sequence[SlideSource],
    vocabulary: GeneVocabulary,
    folder: str | Path,
    *,
    patches: PatchOptions,
    tokens: TokenOptions,
    qc: QcOptions,
    patches_from: Mapping[str, Path] | None = None,
) -> Steps[PairedSet]:
    """Cut patches, tokenise and normalise the good spots of each slide into a new folder.

    Parameters
    ----------
    patches_from
        Slide name -> a patches.npy that `write_patches` made of the same spots, which is linked
        instead of cut again: only the vocabulary differs between the folds of an evaluation.
    """
    folder = Path(folder)
    facts = []
    with new_folder(folder) as partial:
        vocabulary.write_csv(partial / "genes.csv")
        for number, source in enumerate(sources):
            slide = good_spots(source.slide, qc)
            # Names are the user's and may hold anything; the number keeps folders apart.
            inside = f"slides/{number:04d}-{element_name(slide.name)}"
            out = partial / inside
            out.mkdir(parents=True)
            mapping = _write_counts(slide, vocabulary, out, tokens)
            if patches_from is None:
                yield from write_patches(slide, out / "patches.npy", patches)
            else:
                link_or_copy(patches_from[slide.name], out / "patches.npy")
            facts.append(
                {
                    "name": slide.name,
                    "folder": inside,
                    "path": source.path,
                    "digest": slide.digest,
                    "mpp": slide.mpp,
                    "mpp_source": slide.scale.describe(),
                    "n_spots": slide.n_spots,
                    "n_mapped": int(mapping.n_mapped),
                    "mapping": mapping.report(),
                }
            )
        write_json(
            partial / "pairs.json",
            {
                "kind": "paired set",
                "vocabulary": vocabulary.digest,
                "vocabulary_source": vocabulary.source,
                "patches": asdict(patches),
                "tokens": asdict(tokens),
                "qc": asdict(qc),
                "slides": facts,
            },
        )
    return PairedSet.open(folder)


def _write_counts(slide: Slide, vocabulary: GeneVocabulary, out: Path, tokens: TokenOptions) -> Any:
    from napari_umpire.genes import rank_tokens, require_mapped

    counts = slide.counts()
    mapping = vocabulary.map(slide.genes)
    require_mapped(mapping, where=f"Slide {slide.name}", other="the vocabulary")
    mapped = mapping.apply(counts)
    ranks = rank_tokens(mapped, vocabulary.means, length=tokens.length, rounding=tokens.rounding)
    np.save(out / "tokens.npy", ranks)
    values = vocabulary_expression(counts, mapping)
    for part in ("data", "indices", "indptr"):
        np.save(out / f"expression_{part}.npy", getattr(values, part))
    slide.spots[["y", "x"]].to_csv(out / "spots.csv")
    facts = {"n_genes": vocabulary.n_genes, "pitch_px": slide.pitch_um / slide.mpp}
    write_json(out / "slide.json", {"kind": "paired slide", **facts})
    return mapping


def write_patches(slide: Slide, path: Path, options: PatchOptions) -> Steps[None]:
    """Cut the patch of every spot into one .npy, (n_spots, px, px, 3) uint8."""
    from napari_umpire.inference.arrays import create_array, flush
    from napari_umpire.slides.patches import PatchSpec, iter_patches

    spec = PatchSpec(
        options.field_um,
        options.size_px,
        options.max_upsampling,
        white_balance=options.white_balance,
    )
    px = options.size_px
    out = create_array(path, (slide.n_spots, px, px, 3), np.uint8)
    done = 0
    for batch in iter_patches(slide, spec):
        out[batch.rows] = batch.pixels
        done += len(batch.rows)
        yield Progress(f"patches of {slide.name}", done, slide.n_spots)
    flush(out)
