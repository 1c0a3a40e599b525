"""Names with a genome before them, and names that a spreadsheet turned into dates."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from napari_umpire.errors import InputError
from napari_umpire.genes import GeneVocabulary, require_mapped
from napari_umpire.genes.columns import clean_columns, gene_table
from napari_umpire.genes.names import split_genome
from napari_umpire.genes.spreadsheet import genes_of_date, is_date

IDS = {"ERBB2": "ENSG00000141736", "C3": "ENSG00000125730", "SEPT2": "ENSG00000168385"}


@pytest.fixture
def vocabulary():
    return GeneVocabulary(list(IDS.values()), list(IDS), np.ones(len(IDS)), "a test")


@pytest.mark.parametrize(
    "prefix",
    ["GRCh38_", "GRCh38___", "grch38_", "hg19_", "hg38_", "GRCh38-", "GRCh38.p13_", "HUMAN_"],
)
def test_the_prefix_of_a_human_genome_is_no_part_of_a_name(vocabulary, prefix):
    names = [f"{prefix}{text}" for text in ("ERBB2", "ENSG00000125730.4")]
    assert vocabulary.map(names).index.tolist() == [0, 1]
    table = pd.DataFrame({"gene_ids": [f"{prefix}{IDS['C3']}"]}, index=[f"{prefix}C3"])
    assert gene_table(table).loc[f"{prefix}C3"].tolist() == [IDS["C3"], "C3"]
    assert vocabulary.map(gene_table(table)).index.tolist() == [1]


@pytest.mark.parametrize("name", ["RN7SL1", "MMP2", "HGF", "RN7SK", "MM10", "RATB", "HUMANIN"])
def test_a_gene_is_no_genome(name):
    assert split_genome(name) == ("", name)


def test_the_other_half_of_a_joint_reference_stays_apart(vocabulary):
    mapping = vocabulary.map(["GRCh38_C3", "mm10___C3", "GRCh38_ERBB2", "mm10___Erbb2"])
    assert mapping.index.tolist() == [1, -1, 0, -1]
    assert "2 of 4 genes are of another genome (mm10)" in mapping.report()
    counts = sp.csr_matrix([[1, 10, 2, 20]])
    assert mapping.apply(counts).toarray().tolist() == [[2, 1, 0]]


def test_a_genome_in_a_column_of_its_own_tells_the_halves_apart(vocabulary):
    var = pd.DataFrame({"genome": ["GRCh38", "mm10", "GRCh38"]}, index=["C3", "C3", "ERBB2"])
    assert vocabulary.map(gene_table(var)).index.tolist() == [1, -1, 0]


def test_a_prefix_on_one_half_alone_tells_them_apart(vocabulary):
    assert vocabulary.map(["C3", "ERBB2", "mm10_C3"]).index.tolist() == [1, 0, -1]


def test_mouse_genes_are_not_human_ones_of_the_same_symbol(vocabulary):
    mapping = vocabulary.map(["GRCm39_C3", "GRCm39_Erbb2"])
    assert mapping.n_mapped == 0
    with pytest.raises(InputError, match=r"GRCm39, and the genes of the vocabulary are human"):
        require_mapped(mapping)
    mouse = GeneVocabulary(["ENSMUSG00000024164"], ["C3"], np.ones(1), "a test")
    assert mouse.map(["GRCm39_C3"]).index.tolist() == [0]


def test_a_vocabulary_of_another_species_takes_tables_of_its_own(vocabulary):
    pig = GeneVocabulary(["ENSSSCG00000017442"], ["ERBB2"], np.ones(1), "a test")
    assert pig.map(["Sscrofa11_ERBB2"]).index.tolist() == [0]
    with pytest.raises(InputError, match="Sscrofa11, and the genes of the vocabulary are human"):
        require_mapped(vocabulary.map(["Sscrofa11_ERBB2", "Sscrofa11_C3"]))


def test_a_prefix_that_nobody_knows_is_named(vocabulary):
    with pytest.raises(InputError, match="begin with 'Panel7_'"):
        require_mapped(vocabulary.map(["Panel7_ERBB2", "Panel7_C3"]))


def test_a_vocabulary_has_each_gene_once():
    counts = sp.csr_matrix(np.array([[3, 1, 5], [1, 1, 0]]))
    plain = pd.DataFrame({"id": "", "symbol": ["ERBB2", "C3", "SEPT2"]}, index=["a", "b", "c"])
    joint = pd.DataFrame(index=["hg38_ERBB2", "mm10_C3", "2-Sep"])
    vocabulary = GeneVocabulary.from_counts([(counts, plain), (counts, joint)], min_spots=1)
    assert dict(zip(vocabulary.ids, vocabulary.means, strict=True)) == {
        "ERBB2": 2.0,
        "C3": 1.0,
        "SEPTIN2": 5.0,
    }


@pytest.mark.parametrize(
    ("date", "genes"),
    [
        ("2-Sep", ("SEPTIN2",)),
        ("02-sept", ("SEPTIN2",)),
        ("Sep-02", ("SEPTIN2",)),
        ("15-Sep", ("SELENOF",)),
        ("1-Mar", ("MARCHF1", "MTARC1")),
        ("Mar-01", ("MARCHF1", "MTARC1")),
        ("1-Mar-2020", ("MARCHF1", "MTARC1")),
        ("10-Mar", ("MARCHF10",)),
        ("1-Dec", ("DELEC1",)),
        ("2020-09-01 00:00:00", ("SEPTIN1",)),
        ("2020-09-01", ("SEPTIN1",)),
        ("2002-09-01", ("SEPTIN1", "SEPTIN2")),
        ("9/2/2020", ("SEPTIN2",)),
        ("02.09.2020", ("SEPTIN2",)),
        ("3/9/2020", ("MARCHF9", "SEPTIN3")),
        ("3. Mrz", ("MARCHF3",)),
        ("31-Dec", ()),
    ],
)
def test_what_a_date_was(date, genes):
    assert is_date(date)
    assert genes_of_date(date) == genes


@pytest.mark.parametrize(
    "name",
    ["SEPT2", "MARCH1", "JUN-1", "NOV.1", "RP11-34P13.7", "7SK", "5S_rRNA", "DEC1", "12-34", "A-1"],
)
def test_what_is_no_date(name):
    assert not is_date(name)


def test_no_known_gene_is_a_date_or_a_genome(data_dir):
    published = GeneVocabulary.from_published(data_dir / "umpire_published")
    names = [*published.symbols, *published.other_symbols, *published.ids]
    assert [n for n in names if is_date(n) or split_genome(n)[0]] == []


def test_only_a_date_that_can_be_one_gene_is_taken(vocabulary):
    mapping = vocabulary.map(["2-Sep", "1-Mar", "ERBB2"])
    assert mapping.index.tolist() == [2, -1, 0]
    assert "2-Sep (SEPTIN2), 1-Mar (MARCHF1 or MTARC1); taken: 2-Sep for SEPTIN2" in (
        mapping.report()
    )


@pytest.mark.parametrize("names", [["2-Sep", "SEPT2"], ["2-Sep", "Sep-02"]])
def test_a_date_whose_gene_is_there_already_is_not_taken(vocabulary, names):
    clean = clean_columns(names)
    assert clean.used == {}
    assert list(clean.dates) == [name for name in names if is_date(name)]


def test_a_table_that_was_cleaned_says_the_same_again():
    table = gene_table(pd.DataFrame(index=["2-Sep", "1-Mar", "hg19_ACTB", "mm10_C3", "hg19_C3"]))
    assert table["symbol"].tolist() == ["SEPTIN2", "1-Mar", "ACTB", "mm10_C3", "C3"]
    once, twice = clean_columns(list(table.index)), clean_columns(table)
    assert twice.remarks() == once.remarks()
    assert twice.used == {"2-Sep": "SEPTIN2"}


def test_a_date_beside_an_ensembl_id_changes_nothing(vocabulary):
    genes = pd.DataFrame({"id": [IDS["SEPT2"]], "symbol": ["2-Sep"]}, index=["2-Sep"])
    assert vocabulary.map(genes).index.tolist() == [2]


def test_in_a_table_of_the_mouse_a_date_is_a_mouse_gene():
    mouse = GeneVocabulary(["Septin2", "Actb"], ["Septin2", "Actb"], np.ones(2), "a test")
    assert mouse.map(["2-Sep", "Actb", "Pten", "Esr1"]).index.tolist() == [0, 1, -1, -1]
