from __future__ import annotations

from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub import errors

from napari_umpire.errors import InputError
from napari_umpire.inference.model_path import model_folder


@pytest.fixture(autouse=True)
def asked(monkeypatch):
    """Names that the hub was asked for; it never answers in a test."""
    names = []

    def download(name, **options):
        names.append(name)
        raise errors.LocalEntryNotFoundError("no connection")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    return names


def test_a_path_that_exists_is_never_looked_up(tmp_path, monkeypatch, asked):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org" / "name").mkdir(parents=True)
    assert model_folder("org/name").is_dir()
    assert asked == []


@pytest.mark.parametrize("name", ["models", "./a/b", "/a/b", "a/b/c", "a\\b", "org/", "../x"])
def test_what_is_no_hub_name_is_not_asked_for(tmp_path, monkeypatch, asked, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="no model folder"):
        model_folder(name)
    assert asked == []


def test_a_mistyped_path_is_not_asked_for(tmp_path, monkeypatch, asked):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    with pytest.raises(InputError, match="Check the path"):
        model_folder("runs/mine")
    assert asked == []


def test_without_network_the_hub_name_is_explained(tmp_path, monkeypatch, asked):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="no folder org/name here.*give its path") as caught:
        model_folder("org/name")
    assert "Got: Got:" not in str(caught.value)
    assert asked == ["org/name"]


def _answer(kind):
    return kind("no", response=SimpleNamespace(headers={}, request=None))


@pytest.mark.parametrize(
    ("kind", "message"),
    [(errors.GatedRepoError, "are gated"), (errors.RepositoryNotFoundError, "The hub has no")],
    ids=["gated", "absent"],
)
def test_what_the_hub_refuses_is_said_in_words(tmp_path, monkeypatch, kind, message):
    def download(name, **options):
        raise _answer(kind)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(InputError, match=message):
        model_folder("org/name")


def test_only_data_is_asked_for(tmp_path, monkeypatch):
    def download(name, *, allow_patterns):
        assert not any(p.endswith((".py", ".pkl", ".bin", ".pt")) for p in allow_patterns)
        assert "model.safetensors" in allow_patterns
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert model_folder("org/name") == tmp_path
