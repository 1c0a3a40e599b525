"""Gene lists: what a user pastes or has in a file, and what becomes of each name."""

from __future__ import annotations

import pandas as pd
import pytest

from napari_umpire.errors import InputError
from napari_umpire.genes.aliases import GeneAliases
from napari_umpire.inference.genes.list_file import read_lists, set_aside, write_lists
from napari_umpire.inference.genes.lists import GeneList, parse_genes, read_genes, resolve
from napari_umpire.inference.genes.search import GeneIndex, other_names


@pytest.fixture(scope="module")
def index():
    genes = pd.DataFrame(
        {
            "symbol": ["ERBB2", "GRB7", "KRT8", "TWIN", "TWIN", "AARS1"],
            "id": [f"ENSG{i:011d}" for i in range(1, 7)],
        },
        index=[f"ENSG{i:011d}" for i in range(1, 7)],
    )
    return GeneIndex(genes, other_names(genes, GeneAliases.builtin(), GeneAliases.stains()))


@pytest.mark.parametrize(
    "text",
    [
        "ERBB2, GRB7, KRT8",
        "ERBB2 GRB7\tKRT8",
        "ERBB2\r\nGRB7\r\n\r\nKRT8\r\n",
        "\"ERBB2\",'GRB7';KRT8",
        'ERBB2 "GRB7" KRT8',
        '"ERBB2, GRB7", KRT8',
    ],
)
def test_pasted_text_in_any_form_keeps_its_order(text):
    assert parse_genes(text) == ("ERBB2", "GRB7", "KRT8")


def test_a_quoted_name_may_hold_a_blank():
    assert parse_genes('"cyclin D1" ERBB2') == ("cyclin D1", "ERBB2")


@pytest.mark.parametrize("text", ["", "  ,;\n", '""'])
def test_a_text_without_genes_is_a_sentence(text):
    with pytest.raises(InputError, match="no gene in this text"):
        parse_genes(text)


def test_a_novel_is_no_list():
    with pytest.raises(InputError, match="no list of genes"):
        parse_genes("A" * 500)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("panel.csv", "rank,Gene,p\n1,ERBB2,0.1\n2,GRB7,0.2\n3,KRT8,0.3\n"),
        ("panel.tsv", "Symbol\tlogFC\nERBB2\t2\nGRB7\t1\nKRT8\t1\n"),
        ("panel.csv", "\ufeffgene_name;p\nERBB2;1\nGRB7;1\nKRT8;1\n"),
        ("panel.txt", "ERBB2\nGRB7\nKRT8\n"),
        ("panel.txt", "ERBB2, GRB7, KRT8"),
        ("panel.txt", "gene\nERBB2\nGRB7\nKRT8\n"),
        ("panel.csv", "ERBB2,2.1\nGRB7,1.0\nKRT8,0.3\n"),
        ("panel.csv", '"gene","p"\n"ERBB2",1\n\n"GRB7",1\n"KRT8",1\n'),
    ],
)
def test_files_with_and_without_a_header(tmp_path, name, text):
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert read_genes(tmp_path / name) == GeneList("panel", ("ERBB2", "GRB7", "KRT8"))


@pytest.mark.parametrize("data", [b"", b"\n \n", b"gene,p\n,1\n", b"\xff\xfe\x00\x01"])
def test_a_file_without_genes_is_named(tmp_path, data):
    (tmp_path / "bad.csv").write_bytes(data)
    with pytest.raises(InputError, match="bad.csv"):
        read_genes(tmp_path / "bad.csv")


def test_each_name_is_accounted_for(index):
    names = (
        "erbb2", "ENSG00000000002.7", "HER2", "TWIN", "NOPE", "AARS", "KRT8", "NOPE", "TWIN",
    )  # fmt: skip
    found = resolve(names, index)
    assert [index.name(key) for key in found.keys] == ["ERBB2", "GRB7", "AARS1", "KRT8"]
    assert found.missing == ("NOPE",)
    assert set(found.ambiguous) == {"TWIN"}
    assert found.repeated == ("HER2", "NOPE", "TWIN")
    assert found.renamed == {"AARS": "AARS1"}
    kept = len(found.keys) + len(found.missing) + len(found.ambiguous) + len(found.repeated)
    assert kept == len(names)
    assert found.describe() == (
        "4 of 9 names found; 1 not on this slide: NOPE; 1 of several genes, not taken: "
        "TWIN (ENSG00000000004, ENSG00000000005); 3 named again: HER2, NOPE, TWIN; "
        "1 by another name: AARS → AARS1."
    )


def test_a_long_report_is_cut_with_a_count(index):
    said = resolve([f"NOPE{i}" for i in range(50)], index).describe()
    assert "50 not on this slide" in said
    assert "and 42 more" in said


def test_lists_survive_and_a_damaged_file_is_said_and_kept(tmp_path):
    path = tmp_path / "config" / "lists.json"
    assert read_lists(path) == {}
    lists = [GeneList("Favourites", ("ERBB2",)), GeneList("Größe µ", ("KRT8", "GRB7"))]
    write_lists(path, lists)
    assert list(read_lists(path).values()) == lists
    for damage in ('{"format": "napari-umpire gene lists"', "[]", '{"lists": {"a": [1]}}'):
        path.write_text(damage)
        with pytest.raises(InputError, match="cannot be read"):
            read_lists(path)
        aside = set_aside(path)
        assert aside.read_text() == damage
        assert not path.exists()
    assert len(list(path.parent.iterdir())) == 3


def test_a_list_gains_and_loses_genes():
    one = GeneList("a", ("ERBB2",))
    assert one.with_gene("ERBB2") is one
    assert one.with_gene("GRB7").without(["ERBB2"]).genes == ("GRB7",)
