"""References that lie in what their own digests cover."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, replace

import numpy as np
import pytest

from napari_umpire.errors import InputError
from napari_umpire.inference.references.database import ReferenceDatabase
from napari_umpire.inference.references.format import ReferenceInfo, SlideInfo, read_info


def sign(folder, **said):
    """Make the digests fit what lies in the folder now."""
    info = replace(read_info(folder), **said)
    files = {k: hashlib.sha256((folder / k).read_bytes()).hexdigest() for k in info.files}
    replace(info, files=files).write(folder / "reference.json")


def array(name, change):
    def damage(folder):
        path = folder / name
        np.save(path, change(np.load(path)))
        sign(folder)

    return damage


def slides(*changes):
    """Changes of what is said of the first slide, the second, ..."""

    def damage(folder):
        info = read_info(folder)
        new = [replace(s, **c) for s, c in zip(info.slides, changes, strict=True)]
        sign(folder, slides=tuple(new))

    return damage


def said(**change):
    """Signed by hand, because no program of ours would write it."""

    def damage(folder):
        path = folder / "reference.json"
        data = json.loads(path.read_text()) | change
        held = {k: v for k, v in data.items() if k in ReferenceInfo.__dataclass_fields__}
        held["slides"] = tuple(SlideInfo(**s) for s in held["slides"])
        info = ReferenceInfo(**held)
        path.write_text(json.dumps(data | {"digest": info.digest} | asdict(info)))

    return damage


def one_row_less(measured):
    measured[0, 0] = False
    return measured


ON_OPENING = {
    "overlap": (slides({}, {"first": 0}), "which rows are of the slide B"),
    "gap": (slides({"n_spots": 119}, {}), "which rows are of the slide B"),
    "late": (slides({"first": 1}, {}), "which rows are of the slide A"),
    "short": (slides({}, {"n_spots": 89}), "209 rows.*210 rows"),
    "a thousand million spots": (slides({"n_spots": 10**9}, {}), "slide B"),
    "negative": (slides({"n_spots": -5}, {"first": -5}), "slide A"),
    "no spots": (slides({"n_spots": 0}, {"first": 0, "n_spots": 210}), "slide A"),
    "no slides": (lambda f: sign(f, slides=()), "0 slides of 0 rows"),
    "genes of a slide": (slides({"n_genes": 39}, {}), "which slide measured which genes"),
    "no genes of a slide": (slides({"n_genes": 0}, {}), "0 genes"),
    "nothing measured": (array("measured.npy", np.zeros_like), "which slide measured which"),
    "a gene less": (array("measured.npy", one_row_less), "which slide measured which genes"),
    "bytes for truth": (
        array("measured.npy", lambda a: (a.view(np.uint8) * 2).view(np.bool_)),
        "which slide measured which genes",
    ),
    "a fraction of spots": (said(n=210.5), "n has a wrong value.*210.5"),
    "truth for a number": (said(dim=True), "dim has a wrong value.*True"),
}


@pytest.mark.parametrize("name", ON_OPENING)
def test_a_reference_that_contradicts_itself_is_refused(reference, name):
    damage, words = ON_OPENING[name]
    damage(reference.path)
    with pytest.raises(InputError, match=words):
        ReferenceDatabase.open(reference.path)


@pytest.mark.parametrize("value", [1e30, 9.3, np.inf, np.nan, -1.0])
def test_expression_that_counts_cannot_give_is_refused(reference, value):
    damage = array("expression_data.npy", lambda a: np.full_like(a, value))
    damage(reference.path)
    opened = ReferenceDatabase.open(reference.path)
    with pytest.raises(InputError, match="expression of gene G3 .*0 to 9.21"):
        opened.column("G3")
    with pytest.raises(InputError, match="expression of gene G35 .*0 to 9.21"):
        opened.columns(["G35"], np.array([3, 150]))
    with pytest.raises(InputError, match="0 to 9.21"):
        opened.verify()


def test_the_largest_expression_that_counts_give_is_read(reference):
    from napari_umpire.genes.normalise import expression

    largest = expression([[7, 0]]).max()
    array("expression_data.npy", lambda a: np.full_like(a, largest))(reference.path)
    assert ReferenceDatabase.open(reference.path).column("G3").max() == largest


PARTS = ["reference.json", "genes.csv", "embeddings.npy", "expression_data.npy", "measured.npy"]


@pytest.mark.parametrize("part", PARTS)
def test_a_pipe_is_not_waited_for(reference, part):
    (reference.path / part).unlink()
    os.mkfifo(reference.path / part)
    with pytest.raises(InputError, match=f"{part}|not a reference"):
        ReferenceDatabase.open(reference.path)


def test_a_table_far_larger_than_its_rows_is_not_read(reference):
    with (reference.path / "genes.csv").open("ab") as file:
        file.truncate(3_000_000)
    with pytest.raises(InputError, match="genes.csv is too large"):
        ReferenceDatabase.open(reference.path)


@pytest.mark.parametrize("place", ["nan", "inf", "here", ""])
def test_places_of_spots_are_numbers(reference, place):
    path = reference.path / "spots.csv"
    lines = path.read_text().splitlines()
    parts = lines[3].split(",")
    lines[3] = ",".join([*parts[:2], place, *parts[3:]])
    path.write_text("\n".join(lines))
    sign(reference.path)
    with pytest.raises(InputError, match="spots.csv"):
        _ = ReferenceDatabase.open(reference.path).spots
