from __future__ import annotations

import os
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from napari_umpire.errors import InputError
from umpire_training.keys import dotted_keys
from umpire_training.run_config import PATHS, with_paths
from umpire_training.run_folder import RunFolder, logger
from umpire_training.verbs.pretrain import Options


def options(**changes) -> Options:
    return replace(Options(corpus="c", output="o"), **changes)


def test_config_is_saved_and_accepted_again(tmp_path):
    from umpire_training.cli import parse

    given = options(seed=7)
    given.optim.lr = 0.25
    with RunFolder(tmp_path / "run", verb="pretrain", options=given) as run:
        logger.info("hello")
        run.finish(steps=3)
    again = parse("pretrain", ["--config", str(tmp_path / "run" / "config.yaml")])
    assert again == given
    assert "hello" in (tmp_path / "run" / "run.log").read_text()
    assert yaml.safe_load((tmp_path / "run" / "done.yaml").read_text())["steps"] == 3
    assert RunFolder(tmp_path / "run", verb="pretrain", options=given, resume=True).finished


def test_one_run_per_folder(tmp_path):
    with RunFolder(tmp_path / "run", verb="pretrain", options=options()):
        (tmp_path / "run" / "made").touch()
    with pytest.raises(InputError, match="already holds a run.*--resume"):
        RunFolder(tmp_path / "run", verb="pretrain", options=options())
    changed = options(seed=1, optim=replace(options().optim, lr=0.5))
    with pytest.raises(InputError, match=r"optim\.lr was 0\.0001, is 0\.5; seed was 0, is 1"):
        RunFolder(tmp_path / "run", verb="pretrain", options=changed, resume=True)


def test_a_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "thesis.docx").touch()
    with pytest.raises(InputError, match="not empty and holds no run"):
        RunFolder(tmp_path, verb="pretrain", options=options())


def test_a_run_refused_at_its_start_leaves_no_folder(tmp_path):
    with (
        pytest.raises(InputError, match="nothing to do"),
        RunFolder(tmp_path / "run", verb="pretrain", options=options()),
    ):
        raise InputError("nothing to do")
    assert not (tmp_path / "run").exists()


def test_a_run_that_failed_later_keeps_its_log(tmp_path):
    def work():
        with RunFolder(tmp_path / "run", verb="pretrain", options=options()):
            (tmp_path / "run" / "checkpoints").mkdir()
            raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError, match="disk on fire"):
        work()
    log = (tmp_path / "run" / "run.log").read_text()
    assert "Traceback" in log
    assert "disk on fire" in log


@pytest.mark.skipif(sys.platform == "win32", reason="no locks by flock")
def test_two_processes_never_work_in_one_folder(tmp_path):
    first = RunFolder(tmp_path / "run", verb="pretrain", options=options())
    second = RunFolder(tmp_path / "run", verb="pretrain", options=options(seed=5))
    with first:
        saved = (tmp_path / "run" / "config.yaml").read_text()
        resumed = RunFolder(tmp_path / "run", verb="pretrain", options=options(), resume=True)
        for other in (second, resumed):
            with pytest.raises(InputError, match="Another process is at work"), other:
                pass
        assert (tmp_path / "run" / "config.yaml").read_text() == saved
        logger.info("still here")
    assert "still here" in (tmp_path / "run" / "run.log").read_text()


def test_a_run_killed_before_its_config_was_whole_can_be_started_again(tmp_path):
    for name in ("run.log", ".123.config.yaml"):
        (tmp_path / name).touch()
    with RunFolder(tmp_path, verb="pretrain", options=options()) as run:
        assert not run.resumed


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(InputError, match=r"cannot be made.*Not a directory"),
        RunFolder(tmp_path / "file" / "run", verb="pretrain", options=options()),
    ):
        pass


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_does_not_hide_what_ended_the_run(tmp_path, capsys):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.log").symlink_to("/dev/full")

    def work():
        with RunFolder(tmp_path / "run", verb="pretrain", options=options()):
            logger.info("hello")
            raise InputError("the true reason")

    with pytest.raises(InputError, match="the true reason"):
        work()
    assert "Traceback" not in capsys.readouterr().err


def test_other_processes_of_a_distributed_run_write_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    with RunFolder(tmp_path / "run", verb="pretrain", options=options()):
        logger.info("not me")
    assert not (tmp_path / "run").exists()


def test_a_run_is_continued_from_another_working_directory(tmp_path, monkeypatch):
    for name in ("here", "elsewhere"):
        (tmp_path / name / "data").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    place = tmp_path / "run"
    with RunFolder(place, verb="pretrain", options=options(corpus="data")):
        (place / "made").touch()
    saved = yaml.safe_load((place / "config.yaml").read_text())
    assert saved["corpus"] == str(tmp_path / "here" / "data")
    monkeypatch.chdir(tmp_path)
    again = options(corpus="here/data")
    assert RunFolder(place, verb="pretrain", options=again, resume=True).resumed
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"corpus was '.*here/data', is '.*elsewhere/data'"):
        RunFolder(place, verb="pretrain", options=options(corpus="data"), resume=True)


def test_paths_of_an_older_run_are_compared_by_what_they_lead_to(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    with RunFolder(tmp_path / "run", verb="pretrain", options=options(corpus="data")):
        config = tmp_path / "run" / "config.yaml"
        config.write_text(config.read_text().replace(str(tmp_path / "data"), "data"))
        (tmp_path / "run" / "made").touch()
    again = options(corpus=str(tmp_path / "link"))
    assert RunFolder(tmp_path / "run", verb="pretrain", options=again, resume=True).resumed


RUNS = ("prepare", "pretrain", "align", "finetune", "evaluate", "benchmark", "probe", "mil")
WORDS = {  # options of texts that name no file of the user's
    "accelerator", "column", "description", "device", "devices", "folds", "kind", "label_column",
    "leave_out", "name", "only", "output", "overlays", "patient_pattern", "save", "show_genes",
    "split", "strategy", "technologies",
}  # fmt: skip


@pytest.mark.parametrize("verb", RUNS)
def test_every_text_among_the_options_is_known_as_a_path_or_a_word(verb):
    """A path that is not made whole breaks a run that is continued from another place."""
    from typing import get_args, get_origin

    keys = dotted_keys(import_module(f"umpire_training.verbs.{verb}").Options)
    texts = {
        key.rpartition(".")[2]
        for key, kind in keys.items()
        if get_origin(kind) is not dict and {str, list[str]} & {kind, *get_args(kind)}
    }
    assert texts - PATHS - WORDS == set()
    assert not PATHS & WORDS


@pytest.mark.parametrize("name", ["pretrain_counts", "encoder", "cache"])
def test_paths_of_probe_and_mil_are_saved_whole(name, tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    given = ["data"] if name == "pretrain_counts" else "data"
    whole = with_paths({name: given, "pretrain": {"encoder": {"dim": 8}}}, os.path.abspath)
    data = str(tmp_path / "data")
    assert whole == {
        name: [data] if name == "pretrain_counts" else data,
        "pretrain": {"encoder": {"dim": 8}},
    }


def test_words_that_are_no_files_stay_as_they_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "soft").mkdir()
    (tmp_path / "slide.h5ad").touch()
    tree = {
        "slides": ["slide.h5ad", "gone.h5ad"],
        "align": {"target": {"kind": "soft"}, "vision.weights": "hub"},
        "methods": {"a": {"start": "soft", "vocabulary.path": "soft"}},
        "model": True,
    }
    assert with_paths(tree, lambda path: f"/{path}") == {
        "slides": ["/slide.h5ad", "gone.h5ad"],
        "align": {"target": {"kind": "soft"}, "vision.weights": "hub"},
        "methods": {"a": {"start": "soft", "vocabulary.path": "/soft"}},
        "model": True,
    }


@pytest.mark.parametrize(
    ("made", "stays"),
    [
        (["start.json", "tensorboard/events.1", "checkpoints/"], False),
        (["start.json"], False),
        (["start.json", "checkpoints/last.ckpt"], True),
    ],
)
def test_a_run_refused_after_its_data_were_noted_leaves_no_folder(tmp_path, made, stays):
    def work():
        with RunFolder(tmp_path / "run", verb="pretrain", options=options()):
            for name in made:
                place = tmp_path / "run" / name
                place.parent.mkdir(exist_ok=True)
                if name.endswith("/"):
                    place.mkdir()
                else:
                    place.touch()
            raise InputError("not like this")

    with pytest.raises(InputError, match="not like this"):
        work()
    assert (tmp_path / "run").exists() == stays


def test_files_of_the_user_are_never_taken_for_notes(tmp_path):
    (tmp_path / "patients.csv").write_text("mine")
    with pytest.raises(InputError, match="not empty and holds no run"):
        RunFolder(tmp_path, verb="mil", options=options())
    assert (tmp_path / "patients.csv").read_text() == "mine"
