from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import scipy.sparse as sp

from napari_umpire.errors import InputError
from napari_umpire.inference.references import build
from napari_umpire.inference.references.build import ReferenceWriter
from napari_umpire.inference.references.database import ReferenceDatabase

from ..conftest import GENES_A, GENES_B, make_part, unit_rows


def dense(parts):
    """The whole expression, zeros where not measured, genes in order of first sight."""
    genes = list(dict.fromkeys([*GENES_A, *GENES_B]))
    blocks = []
    for part in parts:
        block = np.zeros((part.expression.shape[0], len(genes)), np.float32)
        block[:, [genes.index(g) for g in part.genes.index]] = part.expression.toarray()
        blocks.append(block)
    return genes, np.concatenate(blocks)


def test_what_was_written_is_read_back(reference, parts):
    genes, values = dense(parts)
    assert list(reference.genes.index) == genes
    for column, gene in enumerate(genes):
        np.testing.assert_array_equal(reference.column(gene), values[:, column])
    np.testing.assert_array_equal(
        reference.embeddings, np.concatenate([p.embeddings for p in parts])
    )
    spots = reference.spots
    assert list(spots["slide"]) == ["A"] * 120 + ["B"] * 90
    assert list(spots["spot"]) == [*parts[0].spots.index, *parts[1].spots.index]
    np.testing.assert_array_equal(
        spots[["y", "x", "y_um", "x_um"]], np.concatenate([p.spots for p in parts])
    )
    reference.verify()


def test_an_unmeasured_gene_is_not_a_zero(reference):
    assert reference.measured_by("G35") is None  # on both slides
    np.testing.assert_array_equal(reference.measured_by("G5"), [True] * 120 + [False] * 90)
    np.testing.assert_array_equal(reference.measured_by("G60"), [False] * 120 + [True] * 90)


@pytest.mark.parametrize("entries", [1, 50, 10**9], ids=["one gene", "some", "all"])
def test_the_working_memory_does_not_change_the_result(parts, tmp_path, monkeypatch, entries):
    monkeypatch.setattr(build, "_ENTRIES", entries)
    built = ReferenceDatabase.build(tmp_path / "r", parts, model_digest="m")
    genes, values = dense(parts)
    found = np.stack([built.column(g) for g in genes], axis=1)
    np.testing.assert_array_equal(found, values)


def test_the_digest_is_of_the_content(reference, parts, tmp_path):
    again = ReferenceDatabase.build(tmp_path / "again", parts, model_digest="model-1")
    assert again.digest == reference.digest
    other = ReferenceDatabase.build(tmp_path / "other", parts[:1], model_digest="model-1")
    assert other.digest != reference.digest
    shutil.copytree(reference.path, tmp_path / "moved")
    assert ReferenceDatabase.open(tmp_path / "moved").digest == reference.digest


def test_no_file_holds_a_pickle(reference):
    for path in reference.path.glob("*.npy"):
        np.load(path, allow_pickle=False)
    assert {p.suffix for p in reference.path.iterdir()} == {".npy", ".csv", ".json"}


def test_top_k_against_numpy(reference):
    queries = unit_rows(np.random.default_rng(9), 11, 16)
    indices, similarity = reference.top_k(queries, 6)
    scores = (queries.astype(float) @ reference.embeddings.T.astype(float)).astype(np.float32)
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :6]
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_array_equal(similarity, np.take_along_axis(scores, expected, axis=1))


def test_top_k_refuses_embeddings_of_another_model(reference):
    with pytest.raises(InputError, match=r"Expected: \(n, 16\)"):
        reference.top_k(np.ones((2, 8), np.float32), 3)
    with pytest.raises(InputError, match="at least 1"):
        reference.top_k(np.ones((2, 16), np.float32), 0)


def test_a_reference_without_any_count(tmp_path):
    part = make_part(0, "empty", 5, ["G0", "G1"], density=0.0)
    built = ReferenceDatabase.build(tmp_path / "r", [part], model_digest="m")
    np.testing.assert_array_equal(built.column("G1"), np.zeros(5))


def test_genes_of_some_spots_are_parts_of_their_columns(reference):
    """A few spots are looked up, many are read with the rest: both give the same values."""
    genes = ["G3", "G35", "G69", "G0"]
    for spots in ([0], [7, 119, 120, 209], [], range(210), range(100, 180)):
        spots = np.array(spots, np.int64)
        expected = [reference.column(gene)[spots] for gene in genes]
        np.testing.assert_array_equal(reference.columns(genes, spots), expected)


def _flip_a_byte(path):
    data = bytearray(path.read_bytes())
    data[-5] ^= 0x01
    path.write_bytes(bytes(data))


def _rewrite(change):
    def damage(folder):
        path = folder / "reference.json"
        said = json.loads(path.read_text())
        change(said)
        path.write_text(json.dumps(said))

    return damage


DAMAGE = {
    "no json": (lambda f: (f / "reference.json").unlink(), "not a reference database"),
    "broken json": (lambda f: (f / "reference.json").write_text("{"), "cannot be read"),
    "json of another kind": (lambda f: (f / "reference.json").write_text("[1]"), "is damaged"),
    "newer version": (_rewrite(lambda s: s.update(version=3)), "another version"),
    "version of a reference with parts": (_rewrite(lambda s: s.update(version=2)), "is damaged"),
    "edited json": (_rewrite(lambda s: s.update(model_digest="x")), "its own digest"),
    "unknown key": (_rewrite(lambda s: s.update(extra=1)), "unknown setting.*extra"),
    "missing array": (lambda f: (f / "embeddings.npy").unlink(), "cannot be read"),
    "truncated array": (
        lambda f: (f / "expression_data.npy").write_bytes(
            (f / "expression_data.npy").read_bytes()[:-64]
        ),
        "cannot be read",
    ),
    "wrong type": (
        lambda f: np.save(f / "embeddings.npy", np.load(f / "embeddings.npy").astype(np.float64)),
        "wrong type or shape",
    ),
    "wrong shape": (
        lambda f: np.save(f / "embeddings.npy", np.load(f / "embeddings.npy")[:-1]),
        "wrong type or shape",
    ),
    "changed genes": (lambda f: _flip_a_byte(f / "genes.csv"), "has changed"),
    "changed spots": (lambda f: _flip_a_byte(f / "spots.csv"), "has changed"),
    "changed columns": (lambda f: _flip_a_byte(f / "expression_indptr.npy"), "has changed"),
    "not normalised": (
        lambda f: np.save(f / "embeddings.npy", np.load(f / "embeddings.npy") * 2),
        "Row 0 of .* length 2",
    ),
    "not finite": (
        lambda f: np.save(f / "embeddings.npy", np.full((210, 16), np.nan, np.float32)),
        "expected: finite|finite, length 1",
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_named_on_opening(reference, name):
    damage, message = DAMAGE[name]
    damage(reference.path)
    with pytest.raises(InputError, match=message):
        ReferenceDatabase.open(reference.path)


def test_another_normalisation_is_refused(reference):
    from napari_umpire.inference.references.format import read_info

    info = read_info(reference.path)
    changed = type(info)(**{**vars(info), "normalisation": "raw counts"})
    changed.write(reference.path / "reference.json")
    with pytest.raises(InputError, match="raw counts"):
        ReferenceDatabase.open(reference.path)


@pytest.mark.parametrize("name", ["expression_data.npy", "expression_indices.npy"])
def test_a_changed_large_file_is_found_by_verify(reference, name):
    _flip_a_byte(reference.path / name)
    with pytest.raises(InputError, match=f"{name} has changed"):
        ReferenceDatabase.open(reference.path).verify()


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
def test_damaged_expression_is_never_shown(reference, value):
    gene = next(g for g in reference.genes.index if reference.column(g).any())
    data = np.load(reference.path / "expression_data.npy")
    data[0] = value
    np.save(reference.path / "expression_data.npy", data)
    opened = ReferenceDatabase.open(reference.path)
    with pytest.raises(InputError, match=f"expression of gene {gene} in .* is damaged"):
        opened.column(gene)


def test_a_row_outside_the_reference_is_never_used(reference):
    rows = np.load(reference.path / "expression_indices.npy")
    rows[-1] = 10_000
    np.save(reference.path / "expression_indices.npy", rows)
    with pytest.raises(InputError, match="damaged"):
        ReferenceDatabase.open(reference.path).column("G69")


BAD = {
    "same name": (lambda p: p, "same name"),
    "rows differ": (lambda p: _with(p, embeddings=p.embeddings[:-1]), "11 embeddings"),
    "other length": (lambda p: _with(p, embeddings=p.embeddings[:, :8]), "length 8, not 16"),
    "not normalised": (lambda p: _with(p, embeddings=p.embeddings * 3), "first spot C_0"),
    "negative": (lambda p: _with(p, expression=-p.expression), "negative"),
    "not finite": (lambda p: _with(p, expression=p.expression * np.nan), "not finite"),
    "gene twice": (
        lambda p: _with(p, genes=p.genes.set_axis(["G0", "G0", "G2"])),
        "G0 is there more than once",
    ),
    "genes missing": (lambda p: _with(p, genes=p.genes.iloc[:2]), "3 columns"),
    "no spots": (
        lambda p: _with(
            p, embeddings=p.embeddings[:0], expression=p.expression[:0], spots=p.spots[:0]
        ),
        "no spots",
    ),
}


def _with(part, **changes):
    return type(part)(**{**vars(part), "slide": "D", **changes})


@pytest.mark.parametrize("name", BAD)
def test_a_bad_part_is_refused_and_nothing_is_left(tmp_path, name):
    change, message = BAD[name]
    good = make_part(0, "C", 12, ["G0", "G1", "G2"])
    with ReferenceWriter(tmp_path / "r", model_digest="m") as writer:
        writer.add(good)
        with pytest.raises(InputError, match=message):
            writer.add(change(good))
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_never_overwritten(tmp_path):
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="already exists"):
        ReferenceDatabase.build(tmp_path / "r", [], model_digest="m")
    assert (tmp_path / "r" / "mine.txt").read_text() == "mine"


def test_of_two_runs_to_one_place_the_first_stays(tmp_path):
    parts = [make_part(seed, name, 12, ["G0", "G1", "G2"]) for seed, name in enumerate("CD")]
    with ReferenceWriter(tmp_path / "r", model_digest="m") as slow:
        slow.add(parts[0])
        ReferenceDatabase.build(tmp_path / "r", [parts[1]], model_digest="m")
        with pytest.raises(InputError, match="already exists: another run has made it"):
            slow.finish()
    assert [s.name for s in ReferenceDatabase.open(tmp_path / "r").info.slides] == ["D"]
    assert [p.name for p in tmp_path.iterdir()] == ["r"]


def test_no_slides_make_no_reference(tmp_path):
    with pytest.raises(InputError, match="at least one slide"):
        ReferenceDatabase.build(tmp_path / "r", [], model_digest="m")
    assert list(tmp_path.iterdir()) == []


def test_explicit_zeros_are_not_kept(tmp_path):
    part = make_part(0, "C", 6, ["G0"], density=1.0)
    values = part.expression.copy()
    values.data[:3] = 0
    part = type(part)(**{**vars(part), "expression": sp.csr_matrix(values)})
    built = ReferenceDatabase.build(tmp_path / "r", [part], model_digest="m")
    assert built.info.nnz == 3
