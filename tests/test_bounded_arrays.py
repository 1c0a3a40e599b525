"""Arrays and archives that claim more than they hold."""

from __future__ import annotations

import io
import os
import zipfile

import numpy as np
import pytest

from napari_umpire.bounded import check_zip, load_npy, parse_json
from napari_umpire.errors import InputError

ARRAY = np.arange(12, dtype=np.float32).reshape(3, 4)


def npy(array=ARRAY, **header):
    """An npy file whose header lies where it is told to."""
    file = io.BytesIO()
    said = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape} | header
    np.lib.format.write_array_header_1_0(file, said)
    return file.getvalue() + array.tobytes()


def archive(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


LIES = {
    "more rows": npy(shape=(10**12, 4)),
    "fewer rows": npy(shape=(2, 4)),
    "no rows": npy(shape=(0, 4)),
    "negative": npy(shape=(-3, 4)),
    "cut short": npy()[:-1],
    "more bytes": npy() + b"\0",
    "objects": npy(descr="|O"),
    "an archive": archive(a=ARRAY),
    "no numbers": b"hello",
    "nothing": b"",
    "a call": npy().replace(b"(3, 4)", b"exit()"),
    "deep": npy().replace(b"(3, 4)", b"(" * 90 + b")" * 90),
}


@pytest.mark.parametrize("mmap", [True, False])
@pytest.mark.parametrize("name", LIES)
def test_an_array_that_is_not_what_its_header_says_is_refused(tmp_path, name, mmap):
    path = tmp_path / "x.npy"
    path.write_bytes(LIES[name])
    with pytest.raises(InputError, match="x.npy cannot be read"):
        load_npy(path, mmap=mmap)


@pytest.mark.parametrize("mmap", [True, False])
def test_a_whole_array_is_read(tmp_path, mmap):
    empty = np.empty((0, 5), np.int64)
    turned = np.asfortranarray(ARRAY)
    for array in (ARRAY, empty, turned, np.zeros(3, [("a", "<f4"), ("ä", "<i8")])):
        with open(tmp_path / "x.npy", "wb") as file:
            version = (3, 0) if array.dtype.names else None
            np.lib.format.write_array(file, array, version)
        read = load_npy(tmp_path / "x.npy", mmap=mmap)
        assert read.dtype == array.dtype
        np.testing.assert_array_equal(read, array)


def test_what_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.npy")
    for name, words in (("pipe.npy", "a named pipe"), ("none.npy", "No such file")):
        with pytest.raises(InputError, match=words):
            load_npy(tmp_path / name)


def test_an_archive_that_unpacks_to_far_more_than_it_holds_is_refused():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a.npy", bytes(5_000_000))
    with pytest.raises(InputError, match="p.npz is too large.*5 MB when unpacked"):
        check_zip(file, "p.npz")
    file = io.BytesIO(archive(a=np.zeros(500_000)))
    check_zip(file, "p.npz")
    assert np.load(file)["a"].size == 500_000  # it stands at its beginning again


@pytest.mark.parametrize("text", ["NaN", "-Infinity", "1e999", "[" * 100_000, "9" * 5000])
def test_json_without_a_value_is_refused(text):
    with pytest.raises(InputError, match="x.json cannot be read"):
        parse_json(text, "x.json")
