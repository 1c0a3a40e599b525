"""Genes that a slide did not measure: known, never chosen, never read as 0."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from napari_umpire.progress import run
from umpire_training.corpus.finding import find_sources
from umpire_training.corpus.paired import build_paired
from umpire_training.corpus.vocabulary import make_vocabulary
from umpire_training.engine.plan import make_plan
from umpire_training.options import (
    AlignSettings,
    PatchOptions,
    QcOptions,
    TokenOptions,
    TrainerOptions,
    VocabularyOptions,
)
from umpire_training.stages.align_data import Columns, PairRows
from umpire_training.stages.build import choose_panel, choose_targets

from .. import layouts


@pytest.fixture
def pairs(tmp_path):
    """Two slides; the second lacks the gene that varies most and has one that it never found."""
    folder = tmp_path / "Visium"
    for seed, name in enumerate(("S1", "S2")):
        layouts.write_stimage(folder, name, seed=seed)
    counts = folder / "gene_exp" / "S2_count.csv"
    rows = [line.split(",") for line in counts.read_text().splitlines()]
    lost, silent = rows[0].index("GENE05"), rows[0].index("GENE09")
    for row in rows[1:]:
        row[silent] = "0"
    rows = [[*row[:lost], *row[lost + 1 :]] for row in rows]
    counts.write_text("\n".join(map(",".join, rows)) + "\n")
    first = folder / "gene_exp" / "S1_count.csv"
    rows = [line.split(",") for line in first.read_text().splitlines()]
    for i, row in enumerate(rows[1:]):
        row[rows[0].index("GENE05")] = str(90 * (i % 2))
    first.write_text("\n".join(map(",".join, rows)) + "\n")
    sources = find_sources([str(folder)])[0]
    qc = QcOptions(min_genes=5)
    vocabulary = make_vocabulary(sources, VocabularyOptions(), qc)
    patches, tokens = PatchOptions(size_px=8, field_um=100.0), TokenOptions(length=8)
    return run(
        build_paired(sources, vocabulary, tmp_path / "p", patches=patches, tokens=tokens, qc=qc)
    )


def test_a_gene_that_was_looked_for_and_not_found_is_measured(pairs):
    ids = list(pairs.vocabulary.ids)
    first, second = (slide.measured() for slide in pairs.slides)
    assert first.all()
    assert [ids[i] for i in np.flatnonzero(~second)] == ["GENE05"]


def test_chosen_genes_are_measured_by_all(pairs):
    data = PairRows(pairs)
    expression = [slide.expression() for slide in pairs.slides]
    plan = make_plan(pairs.n_spots, TrainerOptions(max_steps=1, val_fraction=0), 0)
    settings = AlignSettings()
    settings.gene.kind, settings.gene.panel_genes = "mlp", 10
    settings.rec.weight, settings.rec.genes = 1.0, None
    choose_panel(data, expression, plan, settings)
    choose_targets(data, expression, plan, settings)
    lost = list(pairs.vocabulary.ids).index("GENE05")
    spread = sp.vstack(expression).toarray().var(axis=0)
    assert spread.argmax() == lost, "the test's own claim"
    spread[lost] = -1
    np.testing.assert_array_equal(data.panel.genes, np.sort(np.argsort(-spread)[:10]))
    assert len(data.rec.genes) == pairs.vocabulary.n_genes - 1


@pytest.mark.parametrize("fill", [None, np.array([7.0, 8.0], np.float32)], ids=["mean", "given"])
def test_what_a_slide_lacks_is_filled(fill):
    parts = [sp.csr_matrix([[1.0, 2.0], [3.0, 0.0]]), sp.csr_matrix([[5.0, 0.0]])]
    measured = [np.array([True, True]), np.array([True, False])]
    train = [np.arange(2), np.arange(1)]
    columns = Columns.of(parts, np.arange(2), train, measured, fill)
    found = columns.rows(np.array([1, 0, 0]), np.array([0, 1, 0]))
    stands_in = columns.mean[1] if fill is None else 8
    np.testing.assert_allclose(found, [[5, stands_in], [3, 0], [1, 2]])
