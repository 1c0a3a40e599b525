"""SIGKILL before and after every rename by which results and stores appear.

What a killed process leaves is opened, as the next user opens it. Then nothing of it lies around,
no file of the user's has changed, what is there is whole, and the same write ends well.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from shutil import copytree

import pytest

from napari_umpire.errors import InputError
from napari_umpire.slides.convert import write_slide
from napari_umpire.slides.open import open_slide
from napari_umpire.slides.results import write_results

from .killed import RECORD, small
from .written import assert_holds, fingerprints, prediction_of, read

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks")

BEFORE_OR_AFTER = pytest.mark.parametrize("behind", [False, True], ids=["before", "after"])


@pytest.fixture(scope="module")
def killed():
    """Do something in a process that is killed at one of its last renames, or not at all."""
    command = [sys.executable, "-W", "ignore", str(Path(__file__).with_name("killed.py"))]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def do(what: str, folder: Path, *, stop: int | None = None, behind: bool = False) -> dict:
            wanted = {"do": what, "folder": str(folder), "stop": stop, "behind": behind}
            process.stdin.write(json.dumps(wanted) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        yield do
        process.stdin.close()


@pytest.fixture(scope="module")
def user(tmp_path_factory):
    """A user's folder with a store in it."""
    folder = tmp_path_factory.mktemp("user")
    write_slide(small(), folder / "s.zarr")
    return folder


@pytest.fixture(scope="module")
def renames(killed, user, tmp_path_factory):
    """How many renames each kind of write does."""
    empty = [tmp_path_factory.mktemp("count") for _ in range(2)]
    copytree(user, empty[0] / "user")
    return {
        "table_into_store": killed("table_into_store", empty[0] / "user")["renames"],
        "store_of_result": killed("store_of_result", empty[0])["renames"],
        "conversion": killed("conversion", empty[1])["renames"],
    }


def lying_around(folder: Path) -> list[str]:
    """Names that are hidden or unfinished."""
    return [p.name for p in folder.rglob("*") if p.name.startswith(".") or "partial" in p.name]


def records(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.glob("*.yaml"))


def without_listing(files: dict[str, str]) -> dict[str, str]:
    return {k: v for k, v in files.items() if k != "zarr.json"}


@BEFORE_OR_AFTER
@pytest.mark.parametrize("back", range(4))
def test_a_table_on_its_way_into_a_store(killed, renames, user, tmp_path, back, behind):
    folder = copytree(user, tmp_path / "user")
    store = folder / "s.zarr"
    own = without_listing(fingerprints(store))
    stop = renames["table_into_store"] - back
    assert killed("table_into_store", folder, stop=stop, behind=behind)["signal"] == signal.SIGKILL

    # A program that is not ours reads it as it is; then it is opened by us, and by that again.
    assert "table" in read(store).tables
    slide = open_slide(store)
    assert lying_around(folder) == []
    tables = set(read(store).tables) - {"table"}
    assert tables == {p.name for p in (store / "tables").iterdir() if p.is_dir()} - {"table"}
    assert records(folder) == [f"s.{name}.yaml" for name in tables]
    now = without_listing(fingerprints(store))
    assert {k: now.get(k) for k in own} == own
    assert {k for k in now if not k.startswith("tables/umpire/")} == set(own)

    table = prediction_of(slide)
    result = write_results(slide, table, name="umpire", record=RECORD)
    assert result.element == ("umpire_2" if tables else "umpire")
    assert_holds(result, slide, table)
    assert result.record.read_text() == RECORD
    assert lying_around(folder) == []


@BEFORE_OR_AFTER
@pytest.mark.parametrize("back", range(3))
def test_a_store_that_is_made_for_a_result(killed, renames, tmp_path, back, behind):
    stop = renames["store_of_result"] - back
    killed("store_of_result", tmp_path, stop=stop, behind=behind)
    store = tmp_path / "s.zarr"
    there = store.exists()
    if there:
        open_slide(store)
        assert "umpire" in read(store).tables
        assert records(tmp_path) == ["s.umpire.yaml"]
        assert lying_around(tmp_path) == []
    slide = small()
    table = prediction_of(slide)
    result = write_results(slide, table, name="umpire", store=store, record=RECORD)
    assert_holds(result, slide, table)
    assert result.element == ("umpire_2" if there else "umpire")
    assert len(records(tmp_path)) == 1 + there
    assert lying_around(tmp_path) == []


@BEFORE_OR_AFTER
@pytest.mark.parametrize("back", range(2))
def test_a_conversion(killed, renames, tmp_path, back, behind):
    killed("conversion", tmp_path, stop=renames["conversion"] - back, behind=behind)
    store = tmp_path / "s.zarr"
    if back == 0 and behind:
        # Whole, and refused as such; what was left is removed all the same.
        with pytest.raises(InputError, match="already exists"):
            write_slide(small(), store)
    else:
        write_slide(small(), store)
    assert [p.name for p in tmp_path.iterdir()] == ["s.zarr"]
    assert open_slide(store).n_spots == small().n_spots
