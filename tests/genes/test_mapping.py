"""Which gene a column is, by every kind of name, and what is refused or reported."""

from __future__ import annotations

import csv
from importlib.resources import files

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from napari_umpire.errors import InputError
from napari_umpire.genes import GeneAliases, GeneVocabulary, rank_tokens, require_mapped
from napari_umpire.genes import rank_tokens_reference as reference

IDS = {
    "ERBB2": "ENSG00000141736",
    "H2AZ1": "ENSG00000164032",
    "C1orf112": "ENSG00000000460",
    "MATR3": "ENSG00000015479",
    "Pten": "ENSMUSG00000013663",
    "PLCXD1": "ENSG00000182378",
    "NKX2-1": "ENSG00000136352",
    "HN1": "HN1",
}
AT = {symbol: i for i, symbol in enumerate(IDS)}


@pytest.fixture
def vocabulary():
    return GeneVocabulary(list(IDS.values()), list(IDS), np.ones(len(IDS)), "a test")


@pytest.mark.parametrize(
    ("name", "gene", "route"),
    [
        ("ENSG00000141736", "ERBB2", "id"),
        ("ENSG00000141736.13", "ERBB2", "versioned id"),
        ("ENSG00000182378.15_PAR_Y", "PLCXD1", "versioned id"),
        ("ENSGR0000182378.10", "PLCXD1", "versioned id"),
        (" ERBB2 ", "ERBB2", "symbol"),
        ("NKX2-1", "NKX2-1", "symbol"),
        ("Pten", "Pten", "symbol"),
        ("C1ORF112", "C1orf112", "capitals"),
        ("H2AFZ", "H2AZ1", "retired symbol"),
        ("JPT1", "HN1", "retired symbol"),
        ("ENSG00000141737", None, None),
        ("PTEN", None, None),
        ("erbb2", None, None),
        ("Erbb2", None, None),
        ("ERBB2-1", None, None),
        ("MATR3.1", None, None),
        ("", None, None),
        ("ENSG", None, None),
    ],
)
def test_one_name(vocabulary, name, gene, route):
    mapping = vocabulary.map([name])
    assert mapping.index.tolist() == [AT.get(gene, -1)]
    assert {r for r, n in mapping.routes.items() if n} == ({route} if route else set())
    assert mapping.n_mapped == (gene is not None)


def test_a_repeated_name_is_the_same_gene_only_beside_the_name_itself(vocabulary):
    names = ["MATR3", "MATR3.1", "ERBB2-1", "NKX2", "NKX2-1", "H2AFZ", "H2AFZ-1",
             "ENSG00000182378", "ENSG00000182378-1"]  # fmt: skip
    mapping = vocabulary.map(names)
    assert mapping.index.tolist() == [
        AT[g] if g else -1
        for g in ["MATR3", "MATR3", "", "", "NKX2-1", "H2AZ1", "H2AZ1", "PLCXD1", "PLCXD1"]
    ]
    assert [m.columns for m in mapping.merged] == [
        ("H2AFZ", "H2AFZ-1"), ("MATR3", "MATR3.1"), ("ENSG00000182378", "ENSG00000182378-1"),
    ]  # fmt: skip
    assert mapping.unmapped == ("ERBB2-1", "NKX2")


def test_the_id_of_a_table_comes_before_its_symbol(vocabulary):
    genes = pd.DataFrame(
        {
            "id": ["ENSG00000141736.1", "ENSG00000999999", "", "ENSG00000888888", np.nan],
            "symbol": ["MATR3", "MATR3", "H2AZ1", "ERBB2", "NKX2-1"],
        },
        index=["a", "b", "c", "d", "e"],
    )
    # b: an unknown id, and no other column is MATR3 by id, so its symbol counts.
    # d: an unknown id, and column a is ERBB2 by its id, so d is some other gene.
    mapping = vocabulary.map(genes)
    assert mapping.index.tolist() == [AT["ERBB2"], AT["MATR3"], AT["H2AZ1"], -1, AT["NKX2-1"]]
    assert mapping.unmapped == ("d",)


def test_a_name_that_two_genes_of_the_vocabulary_share_names_neither():
    vocabulary = GeneVocabulary(["ENSG1", "ENSG2"], ["TBCE", "TBCE"], [1, 1], "a test")
    assert vocabulary.map(["TBCE"]).n_mapped == 0


def test_columns_are_summed_and_dropped_as_a_dense_loop_does(vocabulary):
    rng = np.random.default_rng(0)
    names = ["ERBB2", "unknown", "ENSG00000141736.2", "C1orf112", "MATR3", "MATR3-1"]
    counts = rng.integers(0, 200, (7, 6)).astype(np.uint8)
    mapping = vocabulary.map(names)
    expected = np.zeros((7, vocabulary.n_genes), int)
    for column, gene in enumerate(["ERBB2", None, "ERBB2", "C1orf112", "MATR3", "MATR3"]):
        if gene:
            expected[:, AT[gene]] += counts[:, column]
    got = mapping.apply(sp.csr_matrix(counts))
    assert got.has_canonical_format
    assert np.array_equal(got.toarray(), expected)  # 8 bits would have overflowed
    assert (mapping.n_mapped, mapping.n_genes) == (5, 3)
    assert [i for i, has in enumerate(mapping.measured) if has] == sorted({*mapping.index} - {-1})
    with pytest.raises(InputError, match="5 columns.*Expected: 6"):
        mapping.apply(counts[:, :5])


def test_the_report_says_how_what_was_summed_and_what_is_unknown(vocabulary):
    report = vocabulary.map(["ERBB2", "ENSG00000141736.1", "H2AFZ", "nonsense"]).report()
    assert report.splitlines() == [
        "3 of 4 columns are 2 of 8 genes (1 by versioned id, 1 by symbol, 1 by retired symbol).",
        "1 genes are sums: ENSG00000141736 = ERBB2 + ENSG00000141736.1.",
        "1 columns are unknown: nonsense.",
    ]


def test_too_few_common_genes_shows_names_of_both_sides(vocabulary):
    mouse = vocabulary.map(["Actb", "Gapdh", "Epcam"])
    with pytest.raises(InputError) as error:
        require_mapped(mapping=mouse, where="mouse.h5ad")
    text = str(error.value)
    assert text.startswith("mouse.h5ad and the model share no genes.")
    assert "Actb, Gapdh, Epcam" in text
    assert "ERBB2 (ENSG00000141736)" in text
    assert "mouse genes" in text
    few = vocabulary.map(["ERBB2", "MATR3", "x"])
    require_mapped(few, minimum=2)
    with pytest.raises(InputError, match="share too few genes.*2 common genes.*at least 3"):
        require_mapped(few, minimum=3)


def test_a_text_in_place_of_a_list_is_refused(vocabulary):
    with pytest.raises(InputError, match="a list"):
        vocabulary.map("ERBB2")


@pytest.mark.parametrize("target", ["ERBB2", "ENSG00000141736"])
def test_names_given_by_the_user(vocabulary, target):
    mapping = vocabulary.map(["HER2", "MATR3"], aliases={"HER2": target, "MATR3": "NKX2-1"})
    # A name that the vocabulary knows keeps its meaning.
    assert mapping.index.tolist() == [AT["ERBB2"], AT["MATR3"]]
    assert mapping.routes["alias"] == 1


def test_the_table_of_retired_symbols_is_sound():
    text = (files("napari_umpire.genes") / "retired_symbols.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    retired = [row["retired"] for row in rows]
    current = {row["current"] for row in rows}
    assert len(rows) > 600
    assert retired == sorted(set(retired))
    assert not current & set(retired), "a chain of renamings would need several look-ups"
    assert GeneAliases.builtin().canonical("SEPT9") == "SEPTIN9"
    assert GeneAliases.builtin().canonical("ERBB2") == "ERBB2"


@pytest.mark.real
def test_retired_symbols_agree_with_the_published_list(data_dir):
    # An independent list: it must know every current symbol, and no retired one.
    from napari_umpire.genes.published import read_published

    known = read_published(data_dir / "umpire_published").symbol_to_id
    targets = GeneAliases.builtin().targets
    assert [s for s in targets if s in known] == []
    assert [s for s in targets.values() if s not in known] == []


@pytest.fixture(scope="module")
def sections(data_dir):
    return {
        name: pd.read_csv(data_dir / "her2st/ST-cnts" / f"{name}.tsv.gz", sep="\t", index_col=0)
        for name in ("C2", "C3", "C4", "C5", "C6")
    }


@pytest.mark.real
@pytest.mark.slow
def test_her2st_genes_map_as_counted_by_hand(data_dir, sections, tmp_path):
    published = GeneVocabulary.from_published(data_dir / "umpire_published")
    common = sorted(set.intersection(*(set(table.columns) for table in sections.values())))
    mapping = published.map(common)
    # Counted from the raw files: 13,713 symbols are in the list, 13,633 in the vocabulary.
    assert len(common) == 14_382
    assert mapping.routes["symbol"] == 13_633
    assert mapping.routes["symbol"] + len(mapping.outside) == 13_713
    assert mapping.routes["capitals"] == 0
    assert mapping.n_mapped > 14_100  # and some 530 more by retired symbols
    symbols = published.symbols[mapping.index[common.index("H2AFZ")]]
    assert symbols == "H2AZ1"

    published.write_csv(tmp_path / "genes.csv")
    again = GeneVocabulary.read_csv(tmp_path / "genes.csv").map(common)
    assert np.array_equal(again.index, mapping.index)

    table = sections["C3"]
    counts = published.map(list(table.columns)).apply(table.to_numpy())
    for rounding in ("none", "published"):
        assert np.array_equal(
            rank_tokens(counts, published.means, rounding=rounding),
            reference(counts, published.means, rounding=rounding),
        )


@pytest.mark.real
@pytest.mark.slow
def test_a_vocabulary_from_her2st_counts(sections):
    parts = [
        (sp.csr_matrix(t.to_numpy()), pd.DataFrame({"id": "", "symbol": t.columns}, t.columns))
        for t in sections.values()
    ]
    own = GeneVocabulary.from_counts(parts)
    column = np.concatenate([t["ERBB2"].to_numpy() for t in sections.values()])
    at = own.ids.tolist().index("ERBB2")
    assert own.means[at] == pytest.approx(column[column > 0].mean())
    mapping = own.map(["H2AZ1", "H2AFZ"])
    assert mapping.index[0] == mapping.index[1] >= 0
