"""One slide of a paired set, written part by part: tokens, expression, patches, places."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_umpire.errors import InputError
from napari_umpire.slides.elements import element_name
from umpire_training.corpus.building import link_or_copy, write_json
from umpire_training.corpus.npy import NpyWriter

if TYPE_CHECKING:
    from pathlib import Path

    from napari_umpire.genes import GeneVocabulary
    from napari_umpire.genes.mapping import GeneMapping
    from napari_umpire.progress import Steps
    from umpire_training.corpus.images import SpotImages
    from umpire_training.corpus.sources import Source
    from umpire_training.options import PatchOptions, QcOptions, TokenOptions

__all__ = ["slide_folder", "write_paired_slide"]


def slide_folder(number: int, name: str) -> str:
    """Where a slide lies in a paired set.

    Names are the user's and may hold anything; the number keeps folders apart.
    """
    return f"slides/{number:04d}-{element_name(name)}"


def write_paired_slide(
    source: Source,
    vocabulary: GeneVocabulary,
    out: Path,
    *,
    patches: PatchOptions,
    tokens: TokenOptions,
    qc: QcOptions,
    patches_from: Path | None = None,
) -> Steps[dict[str, Any]]:
    """Write the good spots that have an image into the new folder ``out``; its facts.

    Raises
    ------
    InputError
        No spot that passes quality control, none with an image, no gene of the vocabulary, or an
        image and spots that disagree.
    """
    images = source.images()
    out.mkdir(parents=True)
    mapping, ids, n_good = _write_counts(source, images, vocabulary, out, tokens, qc)
    if patches_from is None:
        yield from images.write(ids, out / "patches.npy", patches)
    else:
        link_or_copy(patches_from, out / "patches.npy")
    np.save(out / "measured.npy", mapping.measured, allow_pickle=False)
    images.spots.loc[ids, ["y", "x"]].to_csv(out / "spots.csv")
    facts = {"n_genes": vocabulary.n_genes, "pitch_px": images.pitch_px}
    write_json(out / "slide.json", {"kind": "paired slide", **facts})
    return {
        "name": source.name,
        "path": source.path,
        "digest": images.digest(ids),
        "mpp": images.mpp,
        "mpp_source": images.mpp_source,
        "n_spots": len(ids),
        "n_without_image": n_good - len(ids),
        "n_mapped": int(mapping.n_mapped),
        "mapping": mapping.report(),
    }


def _write_counts(
    source: Source,
    images: SpotImages,
    vocabulary: GeneVocabulary,
    out: Path,
    tokens: TokenOptions,
    qc: QcOptions,
) -> tuple[GeneMapping, np.ndarray, int]:
    """The mapping, the ids that were written, and how many spots were good."""
    from napari_umpire.genes import rank_tokens, require_mapped
    from napari_umpire.genes.normalise import vocabulary_expression

    mapping, n_good, end, first = None, 0, 0, ""
    written: list[np.ndarray] = []
    with (
        NpyWriter(out / "tokens.npy", (tokens.length,), np.uint16) as ranks,
        NpyWriter(out / "expression_data.npy", (), np.float32) as data,
        NpyWriter(out / "expression_indices.npy", (), np.int32) as indices,
        NpyWriter(out / "expression_indptr.npy", (), np.int64) as indptr,
    ):
        indptr.append(np.zeros(1, np.int64))
        for part in source.parts(qc):
            if mapping is None:
                mapping = vocabulary.map(part.genes)
                require_mapped(mapping, where=f"Slide {source.name}", other="the vocabulary")
            n_good += len(part.spots)
            if not len(part.spots):
                continue
            first = first or str(part.spots[0])
            keep = np.flatnonzero(images.which(part.spots))
            counts = part.counts[keep]
            mapped = mapping.apply(counts)
            ranks.append(
                rank_tokens(
                    mapped, vocabulary.means, length=tokens.length, rounding=tokens.rounding
                )
            )
            values = vocabulary_expression(counts, mapping)
            data.append(values.data)
            indices.append(values.indices)
            indptr.append(end + values.indptr[1:].astype(np.int64))
            end += values.nnz
            written.append(part.spots[keep])
    if mapping is None or not n_good:
        raise InputError(
            f"No spot of slide {source.name} passed quality control",
            expected=f"spots with at least {qc.min_genes} detected genes",
        )
    ids = np.concatenate(written)
    if not len(ids):
        raise InputError(
            f"The image and the counts of {source.name} have no spot in common",
            got=f"{first} in the counts, {images.spots.index[0]} in the image",
            expected="the same spot ids",
            fix="Check that both are of the same section",
        )
    return mapping, ids, n_good
