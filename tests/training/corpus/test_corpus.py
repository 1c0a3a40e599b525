from __future__ import annotations

import json

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from napari_umpire.errors import InputError
from napari_umpire.progress import run
from umpire_training.corpus.finding import find_sources
from umpire_training.corpus.npy import NpyWriter, open_npy
from umpire_training.corpus.tokens import TokenCorpus, build_corpus
from umpire_training.corpus.vocabulary import make_vocabulary
from umpire_training.options import QcOptions, TokenOptions, VocabularyOptions

QC = QcOptions(min_genes=5)


def write_h5ad(path, counts, genes, **more):
    table = ad.AnnData(sp.csr_matrix(counts, dtype=np.float32), **more)
    table.var_names = genes
    table.obs_names = [f"s{i}" for i in range(len(counts))]
    table.write_h5ad(path)
    return str(path)


def counted(*paths):
    return find_sources([], paths)[1]


@pytest.fixture
def counts():
    return np.random.default_rng(0).poisson(0.7, (40, 30))


@pytest.fixture
def genes():
    return [f"GENE{i:02d}" for i in range(30)]


def tokens_by_hand(counts, means, length):
    """Algorithm 1, spot by spot: value descending, ties by gene, id + 30, padded with 1."""
    out = np.full((len(counts), length), 1)
    for i, row in enumerate(counts):
        seen = [(-row[g] / means[g], g) for g in np.flatnonzero(row)]
        ids = [g + 30 for _, g in sorted(seen)][:length]
        out[i, : len(ids)] = ids
    return out


def test_corpus_round_trip_against_algorithm_1(tmp_path, counts, genes, monkeypatch):
    from umpire_training.corpus import h5ad

    monkeypatch.setattr(h5ad, "_ROWS", 7)  # several parts per file
    one = write_h5ad(tmp_path / "one.h5ad", counts[:25], genes)
    # The second file has other columns: shuffled, some missing, one unknown; raw in a layer.
    order = [*range(29, 9, -1), 3, 1]
    two_counts = np.column_stack([counts[25:][:, order], np.full(15, 2)])
    two = write_h5ad(
        tmp_path / "two.h5ad", two_counts * 0.5, [genes[i] for i in order] + ["NOVEL"],
        layers={"counts": sp.csr_matrix(two_counts)},
    )  # fmt: skip
    sources = counted(one, two)
    vocabulary = make_vocabulary(counted(one), VocabularyOptions(), QC)
    corpus = run(
        build_corpus(
            sources, vocabulary, tmp_path / "corpus", tokens=TokenOptions(length=12), qc=QC
        )
    )
    good_one = counts[:25][(counts[:25] > 0).sum(1) >= 5]
    columns = [genes.index(g) for g in vocabulary.ids]
    seen = good_one[:, columns].astype(float)
    means = seen.sum(0) / (seen > 0).sum(0)
    np.testing.assert_allclose(vocabulary.means, means)
    in_two = np.zeros((15, 30), int)
    in_two[:, order] = counts[25:][:, order]
    good_two = in_two[(two_counts > 0).sum(1) >= 5]
    wanted = tokens_by_hand(np.vstack([good_one, good_two])[:, columns], means, 12)
    np.testing.assert_array_equal(corpus.tokens, wanted)
    assert corpus.tokens.dtype == np.uint16
    again = TokenCorpus.open(tmp_path / "corpus")
    np.testing.assert_array_equal(again.tokens, wanted)
    spots = again.spots()
    assert spots["source"].tolist() == ["one"] * len(good_one) + ["two"] * len(good_two)
    first = spots.iloc[0]
    assert first["n_genes"] == (counts[first["row"]] > 0).sum()
    assert first["spot"] == f"s{first['row']}"
    report = json.loads((tmp_path / "corpus" / "corpus.json").read_text())["sources"][1]
    assert report["n_mapped"] == 22
    assert "NOVEL" in report["mapping"]


def test_min_spots_of_the_vocabulary(tmp_path, counts, genes):
    counts[:, 4] = 0
    counts[:2, 4] = 1
    source = counted(write_h5ad(tmp_path / "a.h5ad", counts, genes))
    kept = make_vocabulary(source, VocabularyOptions(min_spots=3), QcOptions(min_genes=1))
    assert "GENE04" not in kept.ids
    assert kept.n_genes == 29


def test_damaged_parts_are_named(tmp_path, counts, genes):
    source = counted(write_h5ad(tmp_path / "a.h5ad", counts, genes))
    vocabulary = make_vocabulary(source, VocabularyOptions(), QC)
    folder = tmp_path / "corpus"
    run(build_corpus(source, vocabulary, folder, tokens=TokenOptions(length=8), qc=QC))
    shard = folder / "tokens" / "shard-00000.npy"
    np.save(shard, np.zeros((3, 8), np.uint16))
    with pytest.raises(InputError, match=r"shard-00000\.npy is damaged"):
        TokenCorpus.open(folder)
    shard.write_bytes(b"nonsense")
    with pytest.raises(InputError, match=r"shard-00000\.npy is damaged"):
        TokenCorpus.open(folder)
    (folder / "corpus.json").unlink()
    with pytest.raises(InputError, match="not a token corpus"):
        TokenCorpus.open(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c * 0.5, "not a whole number"),
        (lambda c: -c, "negative"),
        (lambda c: np.where(c > 1, np.nan, c), "not a number"),
        (lambda c: c * 0, "No spot of any source passed"),
    ],
    ids=["fraction", "negative", "nan", "empty"],
)
def test_bad_counts_leave_no_folder(tmp_path, counts, genes, change, said):
    good = counted(write_h5ad(tmp_path / "good.h5ad", counts, genes))
    vocabulary = make_vocabulary(good, VocabularyOptions(), QC)
    bad = counted(write_h5ad(tmp_path / "bad.h5ad", change(counts), genes))
    with pytest.raises(InputError, match=said):
        run(build_corpus(bad, vocabulary, tmp_path / "out", tokens=TokenOptions(length=8), qc=QC))
    assert not list(tmp_path.glob("out*"))


@pytest.mark.parametrize("part", ["indices", "indptr"])
def test_h5ad_whose_indices_point_outside_is_refused(tmp_path, counts, genes, part):
    path = write_h5ad(tmp_path / "bad.h5ad", counts, genes)
    with h5py.File(path, "r+") as f:
        f["X"][part][3] = 10**6
    with pytest.raises(InputError, match=r"bad\.h5ad (is not a readable|are damaged)"):
        make_vocabulary(counted(path), VocabularyOptions(), QC)


def test_h5ad_without_counts_is_refused(tmp_path, genes):
    path = tmp_path / "none.h5ad"
    ad.AnnData(obs=pd.DataFrame(index=["a"]), var=pd.DataFrame(index=genes)).write_h5ad(path)
    with pytest.raises(InputError, match=r"none\.h5ad is not a readable h5ad file.*raw counts"):
        make_vocabulary(counted(str(path)), VocabularyOptions(), QC)


def test_no_common_genes(tmp_path, counts, genes):
    good = counted(write_h5ad(tmp_path / "good.h5ad", counts, genes))
    vocabulary = make_vocabulary(good, VocabularyOptions(), QC)
    alien = [f"ALIEN{i}" for i in range(30)]
    other = counted(write_h5ad(tmp_path / "other.h5ad", counts, alien))
    with pytest.raises(InputError, match="and the vocabulary share no genes"):
        run(build_corpus(other, vocabulary, tmp_path / "out", tokens=TokenOptions(), qc=QC))


def test_npy_writer_gives_what_numpy_reads(tmp_path):
    path = tmp_path / "x.npy"
    rows = np.random.default_rng(0).integers(0, 9, (11, 3, 2)).astype(np.uint16)
    with NpyWriter(path, (3, 2), np.uint16) as out:
        out.append(rows[:4])
        out.append(rows[4:])
    np.testing.assert_array_equal(np.load(path), rows)
    assert isinstance(open_npy(path), np.memmap)
    with NpyWriter(tmp_path / "e.npy", (5,), np.uint16) as out:
        pass
    assert open_npy(tmp_path / "e.npy").shape == (0, 5)
    path.write_bytes(path.read_bytes()[:-20])
    for mapped in (True, False):
        with pytest.raises(InputError, match=r"x\.npy is damaged"):
            open_npy(path, memory_map=mapped)


def test_paired_set_against_the_slides(prepared, slide_paths):
    from napari_umpire.slides.open import open_slide
    from napari_umpire.slides.patches import PatchSpec, iter_patches
    from umpire_training.corpus.paired import PairedSet

    pairs = PairedSet.open(prepared / "pairs")
    assert [s.name for s in pairs.slides] == [open_slide(p).name for p in slide_paths[:2]]
    slide, paired = open_slide(slide_paths[1]), pairs.slides[1]
    counts = slide.counts().toarray().astype(float)
    good = (counts > 0).sum(1) >= 100
    assert paired.spots().index.tolist() == slide.spots.index[good].tolist()
    patches = np.empty((slide.n_spots, 24, 24, 3), np.uint8)
    for batch in iter_patches(slide, PatchSpec(112.0, 24)):
        patches[batch.rows] = batch.pixels
    np.testing.assert_array_equal(paired.patches, patches[good])
    scaled = np.log1p(counts[good] / counts[good].sum(1, keepdims=True) * 1e4)
    names = slide.genes["id"].where(slide.genes["id"] != "", slide.genes.index.to_series())
    by_name = pd.DataFrame(scaled, columns=names)[list(pairs.vocabulary.ids)].to_numpy()
    np.testing.assert_allclose(paired.expression().toarray(), by_name, rtol=1e-6)
    corpus = TokenCorpus.open(prepared / "corpus")
    np.testing.assert_array_equal(corpus.tokens[-len(paired.tokens) :], paired.tokens)


def test_room_for_all_patches_is_taken_before_any_is_cut(tmp_path, slide_paths):
    """A full disk under a mapped file ends the process; so it has to show before."""
    from napari_umpire.slides.open import open_slide
    from umpire_training.corpus.images import write_patches
    from umpire_training.options import PatchOptions

    path = tmp_path / "patches.npy"
    slide = open_slide(slide_paths[0])
    steps = write_patches(slide, path, PatchOptions(size_px=64))
    assert next(steps).done <= slide.n_spots
    steps.close()
    assert path.stat().st_blocks * 512 >= slide.n_spots * 64 * 64 * 3


def test_expression_is_scaled_by_genes_that_the_vocabulary_lacks():
    from napari_umpire.genes import GeneVocabulary
    from napari_umpire.genes.normalise import vocabulary_expression

    vocabulary = GeneVocabulary(["B", "A"], ["B", "A"], [1.0, 1.0], "test")
    mapping = vocabulary.map(["A", "X", "B"])
    counts = sp.csr_matrix([[2, 5, 3], [0, 0, 0], [0, 4, 0]])
    wanted = np.log1p(np.array([[3000.0, 2000.0], [0, 0], [0, 0]]))
    np.testing.assert_allclose(vocabulary_expression(counts, mapping).toarray(), wanted, rtol=1e-6)


def test_count_tables_without_an_image(tmp_path):
    folder = tmp_path / "ST-cnts"
    folder.mkdir()
    counts = np.random.default_rng(1).poisson(1.0, (9, 12))
    frame = pd.DataFrame(
        counts, index=[f"{i}x{i + 1}" for i in range(9)], columns=[f"G{i}" for i in range(12)]
    )
    frame.to_csv(folder / "A1.tsv.gz", sep="\t")
    (source,) = counted(str(folder / "A1.tsv.gz"))
    (part,) = source.parts(QcOptions(min_genes=1))
    assert source.name == "A1"
    np.testing.assert_array_equal(part.counts.toarray(), counts)
    assert part.spots[2] == "2x3"
