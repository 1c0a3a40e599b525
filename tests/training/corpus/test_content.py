"""Sections known again by their counts, whatever they are called."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from napari_umpire.errors import InputError
from umpire_training.corpus.choice import choose
from umpire_training.corpus.content import Content, ContentCounter, overlaps, share
from umpire_training.corpus.exclusion import read_exclude
from umpire_training.corpus.species import genes_species, source_species
from umpire_training.corpus.survey import Survey
from umpire_training.options import ChoiceOptions


def section(seed, spots=120, genes=200):
    rng = np.random.default_rng(seed)
    share = rng.lognormal(0, 2, genes)
    return rng.poisson(share / share.sum() * rng.lognormal(8, 0.3, (spots, 1)))


def content(counts, parts=1):
    counter = ContentCounter()
    for part in np.array_split(counts, parts):
        counter.add(sp.csr_matrix(part))
    return counter.result()


def test_order_parts_and_empty_columns_do_not_matter():
    counts = section(0)
    rng = np.random.default_rng(1)
    shuffled = counts[rng.permutation(120)][:, rng.permutation(200)]
    wider = np.hstack([shuffled, np.zeros((120, 30), int)])
    taller = np.vstack([wider, np.zeros((5, 230), int)])
    assert content(taller, parts=4).digest == content(counts).digest
    np.testing.assert_array_equal(content(taller, parts=3).keys, content(counts).keys)


def test_one_count_changes_the_digest():
    counts = section(0)
    counts[7, 11] += 1
    counts[7, 12] += 1
    other = section(0)
    other[7, 11] += 2
    assert len({content(c).digest for c in (section(0), counts, other)}) == 3


def test_keys_are_the_largest_counts_in_order():
    counts = section(0)
    by_hand = {tuple(sorted(row, reverse=True)[:32]) for row in counts if (row > 0).sum() >= 20}
    assert len(content(counts).keys) == len(by_hand)
    less = counts.copy()
    less[less < np.partition(less, -33, axis=1)[:, -33:-32]] = 0  # below the 33 largest
    np.testing.assert_array_equal(content(less).keys, content(counts).keys)
    assert content(less).digest != content(counts).digest


def test_parts_of_a_section_and_strangers():
    a, b = section(0), section(1)
    assert share(content(a), content(b)) == 0
    assert share(content(a), content(a[30:60])) == 1
    mixed = np.vstack([a[:30], b[:90]])
    assert share(content(a), content(mixed)) == pytest.approx(30 / 120)
    assert share(content(a), content(a[:5])) == 0, "five spots tell nothing"


def test_overlaps_are_those_of_every_pair():
    rng = np.random.default_rng(5)
    pool = rng.integers(0, 2**63, 400).astype(np.uint64)
    contents = [
        Content(f"{i:064x}", np.unique(rng.choice(pool, rng.integers(5, 90)))) for i in range(12)
    ]
    contents.append(Content(contents[3].digest, np.empty(0, np.uint64)))
    for minimum in (0.01, 0.2, 0.5):
        wanted = {
            (i, j): share(a, b)
            for (i, a), (j, b) in itertools.combinations(enumerate(contents), 2)
            if share(a, b) >= minimum
        }
        found = overlaps(contents, minimum)
        assert {(o.first, o.second): o.share for o in found} == pytest.approx(wanted)
        assert found == sorted(found)


# -- choice -------------------------------------------------------------------------------------


def survey(name, counts, species="human", **more):
    facts = {
        "path": f"/data/{name}.h5ad", "layout": "h5ad", "technology": "", "n_spots": len(counts),
        "n_outside": 0, "n_good": len(counts), "n_counts": 0, "n_columns": 200, "place": None,
    }  # fmt: skip
    return Survey(name=name, species=species, content=content(counts), **{**facts, **more})


NONE = read_exclude([])


def test_the_first_of_duplicates_is_kept_and_all_is_told():
    surveys = [
        survey("a", section(0)), survey("m", section(2), "mouse"), survey("copy", section(0)[:90]),
        survey("dim", section(3), n_good=0), survey("b", section(1)), survey("?", section(4), ""),
        survey("part", np.vstack([section(1)[:20], section(6)])),
    ]  # fmt: skip
    chosen = choose(surveys, ChoiceOptions(), NONE, [])
    assert [surveys[i].name for i in chosen.kept] == ["a", "b", "?", "part"]
    told = {e.name: (e.why, e.reason) for e in chosen.left_out}
    assert told["m"] == ("other species", "It is of mouse, not human.")
    assert told["copy"] == ("duplicate", "It shares 100% of its spots with a.")
    assert told["dim"][0] == "no good spots"
    assert chosen.notes == ("part shares 17% of its spots with b; both are kept",)
    mouse = choose(surveys, ChoiceOptions(species="any"), NONE, [])
    assert 1 in mouse.kept


def test_technologies():
    said = ("Visium", "Xenium", "")
    surveys = [survey(t or "none", section(i), technology=t) for i, t in enumerate(said)]
    chosen = choose(surveys, ChoiceOptions(technologies=["visium"]), NONE, [])
    assert chosen.kept == (0, 2)


@pytest.fixture
def sources():
    return [survey("a", section(0)), survey("other", section(1)), survey("b", section(2))]


def test_excluded_by_name_takes_its_copies_along(tmp_path, sources):
    names = tmp_path / "held.txt"
    names.write_text("# held out\nA\n")
    exclude = read_exclude([str(names)])
    chosen = choose(sources, ChoiceOptions(), exclude, [])
    assert chosen.kept == (1, 2)
    sources.append(survey("renamed", section(0)[::-1, ::-1]))
    with pytest.raises(InputError, match=r"under another name.*renamed .* shares 100% .* with a\."):
        choose(sources, ChoiceOptions(), exclude, [])
    chosen = choose(sources, ChoiceOptions(renamed="leave_out"), exclude, [])
    assert chosen.kept == (1, 2)
    assert chosen.left_out[1].reason == "It is a under another name, sharing 100% of spots."
    assert "renamed" in chosen.notes[0]


@pytest.mark.parametrize("renamed", ["fail", "leave_out"])
def test_a_part_of_an_excluded_section_always_stops(sources, renamed):
    excluded = [survey("held", np.vstack([section(1)[:30], section(9)]))]
    with pytest.raises(InputError, match=r"other .* shares 25% of its spots with held"):
        choose(sources, ChoiceOptions(renamed=renamed), NONE, excluded)


def test_excluded_by_digest(tmp_path, sources):
    digest = content(section(2)).digest
    names = tmp_path / "held.csv"
    names.write_text(f"{digest}\n")
    chosen = choose(sources, ChoiceOptions(), read_exclude([str(names)]), [])
    assert chosen.kept == (0, 1)
    names.write_text(f"held, {digest}\n")
    with pytest.raises(InputError, match="with held"):
        choose(sources, ChoiceOptions(), read_exclude([str(names)]), [])


def test_exclusions_that_are_mistyped_do_not_pass(tmp_path):
    with pytest.raises(InputError, match="nothing at .* to exclude"):
        read_exclude([str(tmp_path / "absent.txt")])
    bad = tmp_path / "bad.txt"
    bad.write_text("one, two\n")
    with pytest.raises(InputError, match=r"Line 1 of .*bad\.txt"):
        read_exclude([str(bad)])


# -- species ------------------------------------------------------------------------------------

HUMAN = [f"G{c}{d}" for c in "ABCDEFGHIJ" for d in ("AX", "BY", "CZ")]
MOUSE = [g.capitalize() for g in HUMAN]


def genes(names):
    ids = [n if n.startswith("ENS") else "" for n in names]
    symbols = ["" if i else n for i, n in zip(ids, names, strict=True)]
    return pd.DataFrame({"id": ids, "symbol": symbols}, index=names)


@pytest.mark.parametrize(
    ("names", "species"),
    [
        (HUMAN, "human"),
        (MOUSE, "mouse or rat"),
        ([f"ENSG{i:011d}" for i in range(30)], "human"),
        ([f"ENSG{i:011d}.7" for i in range(30)], "human"),
        ([f"ENSMUSG{i:011d}" for i in range(30)], "mouse or rat"),
        ([f"ENSDARG{i:011d}" for i in range(30)], "ENSDAR"),
        ([f"GRCh38_{g}" for g in HUMAN], "human"),
        ([f"mm10___{g}" for g in MOUSE], "mouse or rat"),
        ([*HUMAN, "C1orf112", "Pten"], "human"),
        (HUMAN[:10], ""),
        ([f"{i}" for i in range(50)], ""),
    ],
    ids=lambda v: v if isinstance(v, str) else v[0],
)
def test_species_of_genes(names, species):
    assert genes_species(genes(names)) == species


def test_two_species_in_one_table():
    for names in ([*HUMAN, *MOUSE], [f"GRCh38_{g}" for g in HUMAN] + [f"mm10_{g}" for g in MOUSE]):
        with pytest.raises(InputError, match="two species.*30 human.*one species to a section"):
            genes_species(genes(names))


def test_what_a_collection_says():
    assert source_species("Homo sapiens", genes(HUMAN)) == "human"
    assert source_species("Mus musculus", genes(HUMAN)) == "mouse"
    assert source_species("", genes(MOUSE)) == "mouse or rat"
    with pytest.raises(InputError, match="says that it is human, and its genes do not"):
        source_species("human", genes(MOUSE))
