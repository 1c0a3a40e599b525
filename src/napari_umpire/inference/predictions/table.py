"""A prediction as an AnnData table, in the keys that scanpy and SpatialData users expect."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_umpire.errors import InputError
from napari_umpire.faults import within_memory
from napari_umpire.progress import Progress, run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData

    from napari_umpire.inference.predictions.prediction import GenePrediction
    from napari_umpire.progress import Steps

__all__ = ["table_bytes", "table_steps", "to_table"]

_LARGEST = 16 * 2**30
_GENES_PER_STEP = 200


def table_bytes(prediction: GenePrediction, n_genes: int | None = None, *, std: bool) -> int:
    """Size in memory of a table of ``n_genes`` (None: all): values, spread and embeddings."""
    n_genes = len(prediction.genes) if n_genes is None else n_genes
    size = prediction.n_spots * n_genes * 4 * (1 + std)
    return size + (0 if prediction.embeddings is None else prediction.embeddings.nbytes)


def to_table(
    prediction: GenePrediction, genes: Sequence[str] | None = None, *, std: bool = False
) -> AnnData:
    """Compute the maps of some or all genes and put them into a table.

    Parameters
    ----------
    genes
        Names as `GenePrediction.find` takes them; None: all.
    std
        Also ``layers["std"]``, the spread over the references.

    Returns
    -------
    AnnData with X (n_spots, n_genes) float32 log1p CP10k, NaN where no reference measured the
    gene; of a retrieval obs ``top_similarity``, ``mean_similarity``; var ``gene_ids``, ``symbol``;
    obsm ``X_umpire`` (embeddings, where there are any) and ``spatial`` (x, y in full-resolution
    px); uns ``umpire`` (the run record). The keys that tie it to a slide's shapes are added by
    `slides.results`.

    Raises
    ------
    InputError
        For an unknown gene, or a table of more than 16 GiB.
    """
    return run(table_steps(prediction, genes, std=std))


def table_steps(
    prediction: GenePrediction, genes: Sequence[str] | None = None, *, std: bool = False
) -> Steps[AnnData]:
    """As `to_table`, with a report every few genes."""
    import anndata as ad

    if genes is None:
        keys = list(prediction.genes.index)
    else:
        keys = list(dict.fromkeys(prediction.find(gene) for gene in genes))
    shape = (prediction.n_spots, len(keys))
    size = shape[0] * shape[1] * 4 * (1 + std)
    if size > _LARGEST:
        raise InputError(
            f"A table of {shape[0]} spots and {shape[1]} genes is too large",
            got=f"{size / 2**30:.0f} GiB",
            expected=f"at most {_LARGEST // 2**30} GiB",
            fix="Name the genes you need",
        )
    with within_memory(
        f"A table of {shape[0]:,} spots and {shape[1]:,} genes does not fit into memory",
        fix="Name the genes you need",
    ):
        values = np.empty(shape, np.float32, order="F")  # filled by gene
        spread = np.empty(shape, np.float32, order="F") if std else None
    for column, key in enumerate(keys):
        if column % _GENES_PER_STEP == 0:
            yield Progress("Computing the table", column, len(keys), "genes")
        values[:, column] = prediction.gene_map(key)
        if spread is not None:
            one = prediction.spread(key)
            if one is None:
                raise InputError(
                    f"The prediction of {prediction.slide_name} has no spread",
                    expected="a prediction from references, which may disagree",
                    fix="Write it without the spread",
                )
            spread[:, column] = one
    obs = pd.DataFrame(index=prediction.spots.index.astype(str))
    for name in ("top_similarity", "mean_similarity"):
        if hasattr(prediction, name):
            obs[name] = getattr(prediction, name)
    named = prediction.genes.loc[keys]
    var = pd.DataFrame(
        {"gene_ids": named["id"].to_numpy(), "symbol": named["symbol"].to_numpy()},
        index=pd.Index(keys, dtype=object),
    )
    table = ad.AnnData(np.ascontiguousarray(values), obs=obs, var=var)
    if spread is not None:
        table.layers["std"] = np.ascontiguousarray(spread)
    if prediction.embeddings is not None:
        table.obsm["X_umpire"] = np.array(prediction.embeddings, np.float32)
    table.obsm["spatial"] = prediction.spots[["x", "y"]].to_numpy(np.float64)
    table.uns["umpire"] = prediction.record.to_dict()
    return table
