"""A synthetic section as SpatialData, with the elements that a Visium reader makes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from spatialdata import SpatialData

    from napari_umpire.slides.synthetic.section import SyntheticTissue

__all__ = ["as_spatialdata"]


def as_spatialdata(tissue: SyntheticTissue, spots: pd.DataFrame) -> SpatialData:
    """Return image ``<name>_full_image``, circles ``<name>`` and ``table``, in "global" px.

    Parameters
    ----------
    tissue
        The section.
    spots
        Its spots with ``instance_id``.
    """
    from anndata import AnnData
    from spatialdata import SpatialData
    from spatialdata.models import Image2DModel, ShapesModel, TableModel

    from napari_umpire.slides.synthetic.section import SPOT_UM

    yx = spots[["y", "x"]].to_numpy()
    image = Image2DModel.parse(
        tissue.pixels.transpose(2, 0, 1),
        dims=("c", "y", "x"),
        c_coords=["r", "g", "b"],
        chunks=(3, 1024, 1024),
    )
    circles = ShapesModel.parse(
        yx[:, ::-1], geometry=0, radius=SPOT_UM / tissue.mpp / 2, index=spots["instance_id"]
    )
    table = AnnData(
        X=tissue.counts.astype("float32"),
        obs=pd.DataFrame(
            {
                "in_tissue": 1,
                "array_row": spots["array_row"],
                "array_col": spots["array_col"],
                "spot_id": spots["instance_id"],
                "region": pd.Categorical([tissue.name] * len(spots)),
            },
            index=spots.index,
        ),
        var=pd.DataFrame(
            {"gene_ids": tissue.genes["id"], "feature_types": "Gene Expression"},
            index=tissue.genes.index,
        ),
        obsm={"spatial": yx[:, ::-1].copy()},
    )
    table = TableModel.parse(table, region=tissue.name, region_key="region", instance_key="spot_id")
    return SpatialData(
        images={f"{tissue.name}_full_image": image},
        shapes={tissue.name: circles},
        tables={"table": table},
    )
