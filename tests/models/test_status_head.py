"""A head on disk: what comes back, what is refused."""

from __future__ import annotations

import json

import pytest
import torch

from napari_umpire.errors import InputError
from napari_umpire.models.abmil import Abmil
from napari_umpire.models.status_config import (
    AbmilConfig,
    StatusConfig,
    StatusScores,
    TileConfig,
    list_heads,
    read_status,
)
from napari_umpire.models.status_head import load_head, save_head
from napari_umpire.models.weight_files import read_weights, write_tensors


def config(**changes):
    given = {
        "name": "grade",
        "classes": ("low", "high"),
        "colours": ("#112233", "#aabbcc"),
        "abmil": AbmilConfig(dim=6, n_classes=2, hidden=4, attention=3),
        "tiles": TileConfig(),
        "model_digest": "d" * 64,
        "scores": StatusScores(
            (4, 5), 11, 900, "3 folds", 0.75, 0.7, (0.4, 1.0), (0.5, None, 1.0), (0.7, 0.6, 0.8),
            (0.5, 0.4), (0.5, 0.5), 0.4, 5,
        ),
        "training": {"epochs": 50, "lr": 5e-4},
    }  # fmt: skip
    return StatusConfig(**{**given, **changes})


@pytest.fixture
def saved(tmp_path):
    module = Abmil(config().abmil)
    module.set_statistics(torch.randn(6), torch.tensor([1.0, 2.0, 0.0, 1.0, 1.0, 1.0]))
    return module, save_head(tmp_path / "model", module, config())


def test_what_was_saved_comes_back(saved, tmp_path):
    module, folder = saved
    head = load_head(folder, model_digest="d" * 64)
    assert head.config == config()
    assert not head.module.training
    x = torch.randn(7, 6)
    torch.testing.assert_close(head.module(x), module.eval()(x), rtol=0, atol=0)
    assert list_heads(tmp_path / "model") == [folder]
    assert list_heads(tmp_path) == []


def test_a_head_is_never_replaced(saved, tmp_path):
    module, folder = saved
    before = (folder / "status.safetensors").read_bytes()
    with pytest.raises(InputError, match="already exists"):
        save_head(tmp_path / "model", Abmil(config().abmil), config())
    assert (folder / "status.safetensors").read_bytes() == before


def test_a_save_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("napari_umpire.models.status_head.write_tensors", full)
    with pytest.raises(OSError, match="No space"):
        save_head(tmp_path, Abmil(config().abmil), config())
    assert list((tmp_path / "slide_status").iterdir()) == []


def test_a_head_of_another_model_is_refused(saved):
    with pytest.raises(InputError, match="another model"):
        load_head(saved[1], model_digest="e" * 64)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s.pop("attention.w.weight"), "lacks the tensor attention.w.weight"),
        (lambda s: s.update(more=torch.ones(1)), "no place for"),
        (lambda s: s.update({"attention.w.weight": torch.ones(1, 9)}), "wrong shape"),
        (lambda s: s.update(mean=torch.full((6,), torch.nan)), "mean holds.*not finite"),
        (lambda s: s.update(std=torch.zeros(6)), "cannot be"),
    ],
    ids=["missing", "extra", "shape", "nan", "zero deviation"],
)
def test_weights_that_do_not_fit_are_refused(saved, change, said):
    path = saved[1] / "status.safetensors"
    state = dict(read_weights(path))
    change(state)
    write_tensors(path, state)
    with pytest.raises(InputError, match=said):
        load_head(saved[1])


def test_a_changed_configuration_is_refused(saved):
    path = saved[1] / "config.json"
    good = json.loads(path.read_text())
    for key, value, said in (
        ("format", "another", "not the configuration"),
        ("version", 99, "another version"),
        ("classes", ["low"], "inconsistent"),
        ("colours", ["red", "#000000"], "inconsistent"),
        ("nonsense", 1, "unknown setting"),
    ):
        path.write_text(json.dumps({**good, key: value}))
        with pytest.raises(InputError, match=said):
            read_status(saved[1])
    path.write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        read_status(saved[1])
    path.unlink()
    with pytest.raises(InputError, match="not a slide-status head"):
        read_status(saved[1])


@pytest.mark.parametrize("name", ["", "../up", "a b", ".hidden", "x" * 80])
def test_a_name_that_cannot_be_a_folder_is_refused(tmp_path, name):
    with pytest.raises(InputError, match="becomes a folder"):
        save_head(tmp_path, Abmil(config().abmil), config(name=name))
