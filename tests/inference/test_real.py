"""The whole path on real sections, with an untrained model: does it run, and are values right."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_umpire.inference.model import load_model
from napari_umpire.progress import run

from .conftest import save_tiny_model

pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    # C3 has two spots without counts, and the reader says so.
    pytest.mark.filterwarnings("ignore:.*have no counts:napari_umpire.errors.UmpireWarning"),
]


def test_her2st_from_file_to_map(her2st, tmp_path):
    from napari_umpire.slides.open import open_slide

    known, asked = (open_slide(her2st / "ST-cnts" / f"{name}.tsv.gz") for name in ("C2", "C3"))
    model = load_model(save_tiny_model(tmp_path / "m", [known]), "cpu")
    reference = run(model.build_reference([known], tmp_path / "m" / "reference"))
    prediction = run(model.predict(asked))
    assert prediction.gene_map("ERBB2").shape == (asked.n_spots,)

    # The column of the reference, from the file by hand.
    counts = pd.read_csv(her2st / "ST-cnts" / "C2.tsv.gz", sep="\t", index_col=0)
    counts = counts.loc[known.spots.index]
    counts = counts[(counts > 0).sum(axis=1) >= 100]
    expected = np.log1p(counts["ERBB2"] / counts.sum(axis=1) * 1e4)
    assert reference.n == len(counts) <= known.n_spots
    np.testing.assert_allclose(reference.column("ERBB2"), expected, rtol=1e-5)
    evidence = prediction.evidence(asked.spots.index[0], "ERBB2")
    assert (evidence["slide"] == "C2").all()
    assert (evidence["weight"] * evidence["value"]).sum() == pytest.approx(
        prediction.gene_map("ERBB2")[0], rel=1e-5
    )
