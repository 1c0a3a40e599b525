from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_umpire.errors import InputError
from napari_umpire.genes.aliases import GeneAliases
from napari_umpire.inference.genes.search import GeneIndex, other_names

from ...steps import interpreted


@pytest.fixture
def index():
    genes = pd.DataFrame(
        {
            "symbol": ["ERBB2", "ERBB3", "ERBB2IP", "MDM2", "C1orf112", "", "TWIN", "TWIN"],
            "id": [f"ENSG{i:011d}" for i in range(1, 9)],
        },
        index=[f"ENSG{i:011d}" for i in range(1, 9)],
    )
    return GeneIndex(genes, aliases={"HER2": "ENSG00000000001", "GONE": "no such key"})


def symbols(hits):
    return [hit.symbol for hit in hits]


def test_equal_then_beginning_then_part(index):
    assert symbols(index.search("erbb2")) == ["ERBB2", "ERBB2IP"]
    assert symbols(index.search("ERBB")) == ["ERBB2", "ERBB3", "ERBB2IP"]
    assert symbols(index.search("bb2")) == ["ERBB2", "ERBB2IP"]
    assert symbols(index.search("m2")) == ["MDM2"]


def test_an_alias_finds_its_gene_and_says_so(index):
    (hit,) = index.search("her")
    assert (hit.key, hit.label) == ("ENSG00000000001", "HER2 → ERBB2")
    assert index.find("her2") == "ENSG00000000001"


def test_names_of_stains_and_retired_symbols_find_their_gene_both_ways():
    genes = pd.DataFrame(
        {"symbol": ["ERBB2", "AARS", "PRXL2C", "TTF1", "P53"], "id": ""},
        index=["ENSG1", "AARS", "PRXL2C", "TTF1", "P53"],
    )
    names = other_names(genes, GeneAliases.builtin(), GeneAliases.stains())
    assert names["HER2"] == "ENSG1"
    assert names["AAED1"] == "PRXL2C", "a retired symbol"
    assert names["AARS1"] == "AARS", "the table bears the retired one"
    assert "P53" not in names, "a gene of the table is called so"
    (hit,) = GeneIndex(genes, names).search("her2", 5)[:1]
    assert (hit.key, hit.label) == ("ENSG1", "HER2 → ERBB2")


def test_a_name_of_two_genes_is_nobodys():
    genes = pd.DataFrame({"symbol": ["ERBB2", "ERBB2"], "id": ""}, index=["a", "b"])
    assert other_names(genes, GeneAliases.stains()) == {}


def test_no_name_of_a_stain_is_a_retired_symbol_of_another_gene():
    retired, stains = GeneAliases.builtin().targets, GeneAliases.stains().targets
    assert all(retired[name] == stains[name] for name in retired.keys() & stains.keys())


def test_a_gene_without_symbol_is_found_by_id(index):
    (hit,) = index.search("ENSG00000000006")
    assert hit.label == "ENSG00000000006"


def test_the_limit_and_empty_text(index):
    assert len(index.search("ENSG", limit=3)) == 3
    assert index.search("  ") == []
    assert index.search("ERBB", limit=0) == []
    assert index.search("nothing like it") == []


def test_a_gene_is_listed_once(index):
    keys = [hit.key for hit in index.search("e")]
    assert len(keys) == len(set(keys))


def test_hits_are_those_of_a_loop_over_all_names():
    rng = np.random.default_rng(4)
    symbols = ["".join(rng.choice(list("ABC1"), rng.integers(1, 6))) for _ in range(300)]
    genes = pd.DataFrame(
        {"symbol": symbols, "id": [f"ENSG{i:03d}" for i in range(300)]},
        index=[f"key{i}" for i in range(300)],
    )
    index = GeneIndex(genes)
    names = [
        (name.lower(), order, name, key)
        for key, symbol, gene_id in zip(genes.index, symbols, genes["id"], strict=True)
        for order, name in enumerate((symbol, gene_id, key))
    ]
    for text in ("a", "ab", "abc", "1", "1a", "ensg", "key1", "b1b", "nothing", "c\nc", "c"):
        found = {}
        for rank in range(3):
            for low, _, _, key in sorted(names, key=lambda n: (len(n[0]), *n)):
                place = 2 if not low.startswith(text) else int(low != text)
                if text in low and place == rank:
                    found.setdefault(key, None)
        for limit in (3, 50, 1000):
            assert [hit.key for hit in index.search(text, limit)] == list(found)[:limit]


def test_the_order_does_not_depend_on_the_order_of_the_genes(index):
    genes = pd.DataFrame({"symbol": [f"AB{i}" for i in range(200)]}, index=map(str, range(200)))
    shuffled = genes.sample(frac=1, random_state=0)
    assert GeneIndex(genes).search("ab") == GeneIndex(shuffled).search("ab")


@pytest.mark.parametrize("text", ["ENSG00000000004", "ENSG00000000004.12", "mdm2", " MDM2 "])
def test_find_takes_ids_of_any_version_and_symbols_of_any_case(index, text):
    assert index.find(text) == "ENSG00000000004"


def test_find_refuses_an_ambiguous_symbol_and_names_both(index):
    with pytest.raises(InputError, match="ENSG00000000007, ENSG00000000008"):
        index.find("TWIN")


def test_find_suggests_near_names(index):
    with pytest.raises(InputError, match="ERBB2"):
        index.find("ERB2")


def test_twenty_thousand_genes_are_searched_without_a_loop_over_them():
    genes = pd.DataFrame(
        {"symbol": [f"GENE{i % 7}X{i}" for i in range(20_000)]},
        index=[f"ENSG{i:011d}" for i in range(20_000)],
    )
    index = GeneIndex(genes)
    for text in ("g", "GENE3", "x199", "ENSG0000001", "zzz"):
        assert interpreted(index.search, text) < len(genes)
