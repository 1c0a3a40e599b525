"""Vocabularies: built, written and read back, and the published files with hostile neighbours."""

from __future__ import annotations

import os
import pickle
import shutil

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from napari_umpire.errors import InputError
from napari_umpire.genes import GeneVocabulary


def genes(ids=None, symbols=None):
    names = symbols if ids is None else ids
    return pd.DataFrame(
        {"id": ids or [""] * len(names), "symbol": symbols or [""] * len(names)}, index=names
    )


@pytest.fixture
def published(tmp_path):
    """A small folder in the published form."""
    ids = ["ENSG00000000003", "ENSG00000000005", "ENSG00000000419-1", "ENSMUSG00000000001"]
    np.save(tmp_path / "Visium_mean.npy", np.array([1.5, np.nan, 2.25, 0.5]))
    anndata.AnnData(np.zeros((1, 4)), var=pd.DataFrame(index=ids)).write_h5ad(
        tmp_path / "model.h5ad"
    )
    symbols = {"TSPAN6": ids[0], "OLD6": ids[0], "Gnai3": ids[3], "XIST": "ENSG00000229807"}
    (tmp_path / "gene_name_id_dict.pkl").write_bytes(pickle.dumps(symbols))
    return tmp_path


def test_published_files(published):
    vocabulary = GeneVocabulary.from_published(published)
    assert vocabulary.ids[2] == "ENSG00000000419-1"
    assert vocabulary.symbols.tolist() == ["TSPAN6", "", "", "Gnai3"]
    np.testing.assert_array_equal(vocabulary.means, [1.5, np.nan, 2.25, 0.5])
    assert (vocabulary.n_genes, vocabulary.n_tokens) == (4, 34)
    mapping = vocabulary.map(["OLD6", "XIST", "Gnai3", "ENSG00000000419-1"])
    assert mapping.index.tolist() == [0, -1, 3, 2]
    assert mapping.outside == ("XIST",)


class _Evil:
    def __reduce__(self):
        return os.mkdir, ("made-by-a-pickle",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps(_Evil()), "it asks for"),
        (pickle.dumps({"A": _Evil()}), "it asks for"),
        (pickle.dumps({"A": np.float64(1)}), "it asks for"),
        (pickle.dumps({"A": {"B"}}), "a dict of other things"),
        (pickle.dumps(["A"]), "a list of other things"),
        (pickle.dumps({"A": 5}), "a dict of other things"),
        (pickle.dumps({"A": "ENSG00000000003"})[:-9], "cannot be used"),
        (b"", "cannot be used"),
        (b"\x80\x04P1\n.", "cannot be used"),
        (b"not a pickle", "cannot be used"),
    ],
    ids=["call", "nested", "numpy", "set", "list", "int", "cut", "empty", "persistent", "text"],
)
def test_a_pickle_with_anything_but_text_is_refused(published, monkeypatch, content, message):
    monkeypatch.chdir(published)
    (published / "gene_name_id_dict.pkl").write_bytes(content)
    with pytest.raises(InputError, match=message):
        GeneVocabulary.from_published(published)
    assert not (published / "made-by-a-pickle").exists()


@pytest.mark.parametrize("name", ["Visium_mean.npy", "model.h5ad", "gene_name_id_dict.pkl"])
def test_a_missing_published_file_is_named(published, name):
    (published / name).unlink()
    with pytest.raises(InputError, match=f"no {name}"):
        GeneVocabulary.from_published(published)


def test_damaged_or_mismatching_published_files_are_refused(published, tmp_path):
    def broken(name, write):
        folder = tmp_path / f"broken-{name}-{write.__name__}"
        folder.mkdir()
        for file in published.iterdir():
            if file.is_file():
                shutil.copy(file, folder)
        write(folder / name)
        with pytest.raises(InputError) as error:
            GeneVocabulary.from_published(folder)
        return str(error.value)

    def objects(path):
        np.save(path, np.array([{}, None, 1, 2]), allow_pickle=True)

    def shorter(path):
        np.save(path, np.ones(3))

    def table(path):
        np.save(path, np.ones((4, 2)))

    def cut(path):
        path.write_bytes(path.read_bytes()[:50])

    def strangers(path):
        path.write_bytes(pickle.dumps({"A": "ENSG99999999999"}))

    assert "a header of object (4,)" in broken("Visium_mean.npy", objects)
    assert "3 means in Visium_mean.npy and 4 genes" in broken("Visium_mean.npy", shorter)
    assert "shape (4, 2)" in broken("Visium_mean.npy", table)
    assert "Visium_mean.npy cannot be read" in broken("Visium_mean.npy", cut)
    assert "model.h5ad cannot be used" in broken("model.h5ad", cut)
    assert "do not belong together" in broken("gene_name_id_dict.pkl", strangers)


def test_csv_gives_back_the_same_bits(tmp_path):
    rng = np.random.default_rng(0)
    means = np.array([np.nan, 0.1 + 0.2, 5e-324, 1 / 3, *rng.lognormal(size=50)])
    n = means.size
    symbols = ["", "HLA-A", 'q"uote', "com,ma", *[f"G{i}" for i in range(n - 4)]]
    vocabulary = GeneVocabulary([f"id{i}" for i in range(n)], symbols, means, "a test")
    vocabulary.write_csv(tmp_path / "genes.csv")
    back = GeneVocabulary.read_csv(tmp_path / "genes.csv")
    assert back.ids.tolist() == vocabulary.ids.tolist()
    assert back.symbols.tolist() == vocabulary.symbols.tolist()
    np.testing.assert_array_equal(
        back.means.view(np.int64)[1:], vocabulary.means.view(np.int64)[1:]
    )
    assert np.isnan(back.means[0])
    assert back.digest == vocabulary.digest
    assert (tmp_path / "genes.csv").read_text().splitlines()[:3] == [
        "id,symbol,mean", "id0,,nan", "id1,HLA-A,0.30000000000000004",
    ]  # fmt: skip


def test_the_digest_tells_vocabularies_apart():
    base = (["a", "b"], ["A", "B"], [1.0, np.nan])
    digests = {
        GeneVocabulary(*parts, "x").digest
        for parts in [
            base,
            (["b", "a"], *base[1:]),
            (base[0], ["A", ""], base[2]),
            (*base[:2], [1.0, 0.0]),
            (["a", "b\nA"], ["", "B"], base[2]),
        ]
    }
    assert len(digests) == 5
    assert GeneVocabulary(*base, "elsewhere").digest in digests


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read"),
        ("", "an empty file"),
        ("gene,mean\na,1\n", "Got: gene,mean"),
        ("id,symbol,mean\na,A,much\n", "Line 2 of"),
        ("id,symbol,mean\na,A,1\nb,B\n", "Line 3 of"),
        ("id,symbol,mean\na,A,1\na,B,1\n", "repeated ids such as a"),
        ("id,symbol,mean\n,A,1\n", "1 blank ids"),
        ("id,symbol,mean\na,A,-1\n", "negative"),
        ("id,symbol,mean\n", "0 genes"),
    ],
)
def test_a_bad_gene_table_is_refused(tmp_path, text, message):
    path = tmp_path / "genes.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=message):
        GeneVocabulary.read_csv(path)


def test_arrays_cannot_be_changed_by_accident():
    vocabulary = GeneVocabulary(["a"], ["A"], [1.0], "x")
    with pytest.raises(ValueError, match="read-only"):
        vocabulary.means[0] = 2.0


def test_means_from_counts_are_over_non_zero_spots_of_all_parts():
    rng = np.random.default_rng(3)
    one, two = rng.poisson(0.7, (40, 6)), rng.poisson(0.7, (25, 6))
    names = [f"G{i}" for i in range(6)]
    order = [3, 1, 0, 5, 4, 2]
    vocabulary = GeneVocabulary.from_counts(
        [
            (sp.csr_matrix(one), genes(symbols=names)),
            (two[:, order].astype(np.float32), genes(symbols=[names[i] for i in order])),
        ],
        min_spots=1,
    )
    both = np.vstack([one, two]).astype(float)
    both[both == 0] = np.nan
    assert vocabulary.ids.tolist() == vocabulary.symbols.tolist() == names
    np.testing.assert_allclose(vocabulary.means, np.nanmean(both, axis=0), rtol=0, atol=1e-15)


def test_a_gene_is_its_id_across_tables_with_and_without_ids():
    tspan, tnmd = "ENSG00000000003", "ENSG00000000005"
    vocabulary = GeneVocabulary.from_counts(
        [
            (np.array([[1, 0, 5]]), genes(symbols=["TSPAN6", "TNMD", "NEW"])),
            (np.array([[3, 4]]), genes(ids=[f"{tspan}.15", f"{tnmd}.6"], symbols=["TSPAN6", ""])),
        ],
        min_spots=1,
    )
    # TNMD's id came without symbol, so nothing says that the symbol TNMD (never seen) is that gene.
    assert vocabulary.ids.tolist() == [tspan, tnmd, "NEW"]
    assert vocabulary.symbols.tolist() == ["TSPAN6", "", "NEW"]
    assert vocabulary.means.tolist() == [2.0, 4.0, 5.0]


def test_columns_of_one_gene_are_summed_before_the_mean():
    # Spot 1 has 1 + 2, spot 2 has 3 + 0: two spots, mean 3; averaging columns would give 2.
    vocabulary = GeneVocabulary.from_counts(
        [(np.array([[1, 2], [3, 0]], np.uint8), genes(symbols=["A", "A"]))], min_spots=2
    )
    assert (vocabulary.ids.tolist(), vocabulary.means.tolist()) == (["A"], [3.0])


def test_rare_genes_are_left_out_and_never_seen_ones_have_no_mean():
    counts, table = np.array([[1, 0, 0], [2, 1, 0]]), genes(symbols=["A", "B", "C"])
    assert GeneVocabulary.from_counts([(counts, table)], min_spots=2).ids.tolist() == ["A"]
    np.testing.assert_array_equal(
        GeneVocabulary.from_counts([(counts, table)], min_spots=0).means, [1.5, 1.0, np.nan]
    )


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([], "no counts to build"),
        ([(np.array([[1, 2]]), genes(symbols=["A", "B"]))], "No gene is seen often enough"),
        ([(np.array([[0.5]]), genes(symbols=["A"]))], "table 1 is not a whole number: gene A"),
        ([(np.array([[1, 2]]), genes(symbols=["A"]))], "gene names in table 1 do not fit"),
    ],
    ids=["none", "rare", "normalised", "misfit"],
)
def test_counts_that_give_no_vocabulary_are_refused(parts, message):
    with pytest.raises(InputError, match=message):
        GeneVocabulary.from_counts(parts, min_spots=2)


@pytest.mark.real
def test_the_published_vocabulary(data_dir):
    # Numbers counted from the files by other means; the means are those of Visium_mean.npy.
    vocabulary = GeneVocabulary.from_published(data_dir / "umpire_published")
    assert (vocabulary.n_genes, vocabulary.n_tokens) == (20_310, 20_340)
    assert int(np.isnan(vocabulary.means).sum()) == 869
    assert int(np.sum(vocabulary.symbols == "")) == 413
    at = {s: i for i, s in enumerate(vocabulary.symbols.tolist())}
    assert [at["PIBF1"], at["CTSC"], at["H2AZ1"], at["MALAT1"]] == [1586, 3679, 11029, 18909]
    assert vocabulary.means[at["MALAT1"]] == pytest.approx(67.7, abs=0.05)
    assert np.nanmax(vocabulary.means) == vocabulary.means[at["CHGA"]]


@pytest.mark.parametrize(
    "change", [lambda b: b"\xef\xbb\xbf" + b, lambda b: b.replace(b"\n", b"\r\n")]
)
def test_a_gene_table_saved_by_a_spreadsheet_is_read(tmp_path, change):
    vocabulary = GeneVocabulary(["ENSG1", "B"], ["A", "B"], [1.5, np.nan], "test")
    path = tmp_path / "genes.csv"
    vocabulary.write_csv(path)
    path.write_bytes(change(path.read_bytes()))
    assert GeneVocabulary.read_csv(path).digest == vocabulary.digest
