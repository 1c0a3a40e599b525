"""The optional parts of a reference: image embeddings, and pictures of its spots."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from napari_umpire.errors import InputError, UmpireWarning
from napari_umpire.inference.references.build import ReferenceWriter
from napari_umpire.inference.references.database import ReferenceDatabase
from napari_umpire.progress import run
from napari_umpire.slides.crops import crops

from ..conftest import make_part, unit_rows

SIZE = 24
GENES = ["G0", "G1", "G2"]


def jpeg(pixels):
    """What a picture is after being kept as a JPEG."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="JPEG", quality=85)
    return np.asarray(Image.open(file))


def pictures(n, seed):
    """Smooth pictures, all different: a JPEG keeps noise badly."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (n, 3, 3, 3), np.uint8)
    return np.repeat(np.repeat(coarse, SIZE // 3, axis=1), SIZE // 3, axis=2)


@pytest.fixture
def imaged_parts():
    """Slide A with image embeddings, slide B without."""
    a, b = make_part(1, "A", 30, GENES), make_part(2, "B", 20, GENES)
    rng = np.random.default_rng(3)
    return [dataclasses.replace(a, image_embeddings=unit_rows(rng, 30, 16)), b]


@pytest.fixture
def shown():
    return [pictures(30, 0), pictures(20, 1)]


@pytest.fixture
def full(imaged_parts, shown, tmp_path):
    with ReferenceWriter(tmp_path / "full", model_digest="m", patches=(50.0, SIZE)) as writer:
        for part, pixels in zip(imaged_parts, shown, strict=True):
            writer.add(part)
            order = np.random.default_rng(4).permutation(len(pixels))
            for rows in np.array_split(order, 3):
                writer.add_patches(rows, pixels[rows])
        return writer.finish()


def test_the_parts_are_read_back(full, imaged_parts, shown):
    opened = ReferenceDatabase.open(full.path)
    assert len(opened.patches) == opened.n == 50
    assert (opened.patches.field_um, opened.patches.size_px) == (50.0, SIZE)
    for row, pixels in enumerate(np.concatenate(shown)):
        np.testing.assert_array_equal(opened.crop(row), jpeg(pixels))
        assert np.abs(opened.crop(row).astype(int) - pixels).mean() < 20
    np.testing.assert_array_equal(opened.image_embeddings[:30], imaged_parts[0].image_embeddings)
    assert np.isnan(opened.image_embeddings[30:]).all()
    opened.verify()


def test_a_reference_without_parts_is_as_it_always_was(imaged_parts, tmp_path):
    plain = [dataclasses.replace(part, image_embeddings=None) for part in imaged_parts]
    built = ReferenceDatabase.build(tmp_path / "plain", plain, model_digest="m")
    assert built.patches is None
    assert built.crop(3) is None
    assert built.image_embeddings is None
    said = json.loads((built.path / "reference.json").read_text())
    assert said["version"] == 1
    assert not {"parts", "patches", "parts_digest"} & set(said)
    assert {p.suffix for p in built.path.iterdir()} == {".npy", ".csv", ".json"}
    built.verify()


def test_the_parts_do_not_change_what_predictions_rest_on(full, imaged_parts, tmp_path):
    plain = [dataclasses.replace(part, image_embeddings=None) for part in imaged_parts]
    built = ReferenceDatabase.build(tmp_path / "plain", plain, model_digest="m")
    assert built.digest == full.digest
    assert built.info.parts_digest != full.info.parts_digest
    assert json.loads((full.path / "reference.json").read_text())["version"] == 2


def test_image_embeddings_alone(imaged_parts, tmp_path):
    built = ReferenceDatabase.build(tmp_path / "r", imaged_parts, model_digest="m")
    assert built.patches is None
    assert built.image_embeddings is not None
    assert set(built.info.parts) == {"image_embeddings.npy"}
    built.verify()


def _flip(name, place):
    def damage(folder):
        data = bytearray((folder / name).read_bytes())
        data[place] ^= 0xFF
        (folder / name).write_bytes(bytes(data))

    return damage


def _rewrite(change):
    def damage(folder):
        said = json.loads((folder / "reference.json").read_text())
        change(said)
        (folder / "reference.json").write_text(json.dumps(said))

    return damage


def _places(change):
    def damage(folder):
        places = np.load(folder / "patches.npy")
        change(places)
        np.save(folder / "patches.npy", places)

    return damage


def _outside(places):
    places[7, 0] = np.iinfo(np.int64).max - 3


def _empty(places):
    places[0, 1] = 0


ON_OPENING = {
    "no blob": (lambda f: (f / "patches.bin").unlink(), "patches.bin cannot be read.*No such file"),
    "empty blob": (lambda f: (f / "patches.bin").write_bytes(b""), "patches.bin cannot be read"),
    "cut blob": (
        lambda f: (f / "patches.bin").write_bytes((f / "patches.bin").read_bytes()[:-9]),
        "patches.bin has the wrong size",
    ),
    "place outside": (_places(_outside), "patches.npy is damaged"),
    "empty place": (_places(_empty), "patches.npy is damaged"),
    "places of another type": (
        lambda f: np.save(f / "patches.npy", np.load(f / "patches.npy").astype(np.int32)),
        "wrong type or shape",
    ),
    "no image embeddings": (
        lambda f: (f / "image_embeddings.npy").unlink(),
        "image_embeddings.npy cannot be read",
    ),
    "image embeddings of other spots": (
        lambda f: np.save(f / "image_embeddings.npy", np.zeros((49, 16), np.float32)),
        "wrong type or shape",
    ),
    "field edited": (_rewrite(lambda s: s["patches"].update(field_um=9.0)), "its own digest"),
    "part added": (_rewrite(lambda s: s["parts"].update({"x.npy": "0"})), "its own digest"),
    "half a part": (_rewrite(lambda s: s["parts"].pop("patches.npy")), "its own digest"),
    "version of one without": (_rewrite(lambda s: s.update(version=1)), "unknown setting"),
}


@pytest.mark.parametrize("name", ON_OPENING)
def test_damage_is_named_on_opening(full, name):
    damage, message = ON_OPENING[name]
    damage(full.path)
    with pytest.raises(InputError, match=message):
        ReferenceDatabase.open(full.path)


@pytest.mark.parametrize("name", ["patches.bin", "patches.npy", "image_embeddings.npy"])
def test_a_changed_part_is_found_by_verify(full, name):
    place = 2000 if name == "patches.bin" else -8
    if name == "patches.npy":
        _places(lambda p: p.__setitem__(0, p[1]))(full.path)
    else:
        _flip(name, place)(full.path)
    with pytest.raises(InputError, match=f"{name} has changed"):
        ReferenceDatabase.open(full.path).verify()


def test_a_damaged_picture_is_never_shown(full):
    start, size = np.load(full.path / "patches.npy")[5]
    data = bytearray((full.path / "patches.bin").read_bytes())
    data[start : start + size] = b"\0" * size
    (full.path / "patches.bin").write_bytes(bytes(data))
    opened = ReferenceDatabase.open(full.path)
    opened.crop(4)
    with pytest.raises(InputError, match="picture of reference 5 .* is damaged"):
        opened.crop(5)


def test_a_picture_of_another_size_or_format_is_not_decoded(full):
    start, size = np.load(full.path / "patches.npy")[5]
    for pixels, kind in ((np.zeros((8, 8, 3), np.uint8), "JPEG"), (pictures(1, 9)[0], "PNG")):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, format=kind)
        data = bytearray((full.path / "patches.bin").read_bytes())
        held = file.getvalue()
        assert len(held) <= size
        data[start : start + len(held)] = held
        (full.path / "patches.bin").write_bytes(bytes(data))
        with pytest.raises(InputError, match="picture of reference 5 .* is damaged"):
            ReferenceDatabase.open(full.path).crop(5)


BAD = {
    "shape": (lambda e: e[:, :8], r"image embeddings of shape \(30, 8\)"),
    "length": (lambda e: e * 2, "30 image embeddings are not of length 1"),
    "not finite": (lambda e: e * np.nan, "30 image embeddings are not of length 1"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_image_embeddings_are_refused(imaged_parts, tmp_path, name):
    change, message = BAD[name]
    part = imaged_parts[0]
    part = dataclasses.replace(part, image_embeddings=change(part.image_embeddings))
    with pytest.raises(InputError, match=message):
        ReferenceDatabase.build(tmp_path / "r", [part], model_digest="m")
    assert list(tmp_path.iterdir()) == []


def test_a_model_keeps_pictures_and_embeddings_of_the_spots_it_keeps(model, slides, tmp_path):
    detected = np.diff(slides[0].counts().indptr)
    bound = int(np.quantile(detected, 0.4))
    kept = np.flatnonzero(detected >= bound)
    assert 0 < len(kept) < len(detected)
    work = model.build_reference([slides[0]], tmp_path / "r", min_genes=bound, patches=True)
    built = run(work)
    assert list(built.spots["spot"]) == list(slides[0].spots.index[kept])
    expected = crops(slides[0], kept, model.patch_spec.field_um)
    for row, crop in enumerate(expected):
        np.testing.assert_array_equal(built.crop(row), jpeg(crop))
    embeddings = run(model.embed_images(slides[0]))[kept]
    np.testing.assert_allclose(built.image_embeddings, embeddings, atol=1e-6)
    built.verify()


def test_pictures_are_kept_only_when_asked_for(model, slides, tmp_path):
    built = run(model.build_reference([slides[0]], tmp_path / "r"))
    assert built.patches is None
    assert built.image_embeddings is not None
    bare = run(model.build_reference([slides[0]], tmp_path / "s", image_embeddings=False))
    assert bare.image_embeddings is None
    assert bare.digest == built.digest


def test_a_slide_too_coarse_goes_without_image_embeddings(model, slides, tmp_path):
    from napari_umpire.slides.pyramid import ArrayLevel, Pyramid

    height, width = (int(s) // 8 for s in slides[1].pyramid.extent)
    level = ArrayLevel(np.full((height, width, 3), 200, np.uint8), 8.0, 64)
    coarse = dataclasses.replace(slides[1], pyramid=Pyramid((level,)), name="coarse")
    with pytest.warns(UmpireWarning, match="no image embeddings of coarse.*too coarse"):
        built = run(model.build_reference([slides[0], coarse], tmp_path / "r", patches=True))
    first = built.info.slides[1].first
    assert np.isfinite(built.image_embeddings[:first]).all()
    assert np.isnan(built.image_embeddings[first:]).all()
    assert built.crop(first).shape == (96, 96, 3), "an eye can still look at it"
    built.verify()


def test_a_cancelled_build_leaves_nothing(model, slides, tmp_path):
    work = model.build_reference(slides[:2], tmp_path / "r", patches=True)
    for progress in work:
        if progress.stage.startswith("Pictures"):
            break
    work.close()
    assert list(tmp_path.iterdir()) == []


def test_an_older_reference_still_opens(full, tmp_path):
    """As written before there were optional parts."""
    shutil.copytree(full.path, tmp_path / "old")
    for name in ("patches.bin", "patches.npy", "image_embeddings.npy"):
        (tmp_path / "old" / name).unlink()
    path = tmp_path / "old" / "reference.json"
    said = json.loads(path.read_text())
    for key in ("parts", "patches", "parts_digest"):
        del said[key]
    path.write_text(json.dumps({**said, "version": 1}))
    opened = ReferenceDatabase.open(tmp_path / "old")
    assert opened.digest == full.digest
    assert opened.patches is None
    opened.verify()
