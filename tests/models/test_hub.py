from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from huggingface_hub import errors
from safetensors.torch import save_file

from napari_umpire.errors import InputError
from napari_umpire.models.hub import download_weights, hub_settings, timm_hub_id
from napari_umpire.models.vision import VisionConfig, create_vision_encoder

SHORT = {"embed_dim": 32, "depth": 2, "num_heads": 4, "img_size": 32}


def answer(kind, message="said the hub"):
    return kind(message, response=SimpleNamespace(headers={}, request=None))


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub that holds what the test puts into ``files`` (an error is raised) and notes calls."""

    class Hub:
        files: dict = {}
        asked: list = []

        def download(self, repo_id, filename, **_):
            self.asked.append((repo_id, filename))
            found = self.files.get((repo_id, filename), answer(errors.RemoteEntryNotFoundError))
            if isinstance(found, Exception):
                raise found
            return str(found)

    hub = Hub()
    hub.files, hub.asked = {}, []
    monkeypatch.setattr("huggingface_hub.hf_hub_download", hub.download)
    return hub


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (answer(errors.GatedRepoError), "gated.*huggingface.co/a/b.*vision.weights"),
        (answer(errors.RepositoryNotFoundError), "has no a/b"),
        (errors.LocalEntryNotFoundError("no way out"), "could not be reached.*no way out"),
        (errors.OfflineModeIsEnabled("offline"), "could not be reached.*offline"),
        (errors.HFValidationError("bad name"), "no name of the hub.*owner/name"),
        (answer(errors.RemoteEntryNotFoundError), "no weights file"),
    ],
    ids=lambda e: type(e).__name__ if isinstance(e, Exception) else "",
)
def test_each_refusal_is_put_in_words(hub, error, words):
    hub.files = {("a/b", name): error for name in ("model.safetensors", "pytorch_model.bin")}
    with pytest.raises(InputError, match=words):
        download_weights("a/b")


def test_the_second_file_name_is_tried(hub, tmp_path):
    hub.files = {("a/b", "pytorch_model.bin"): tmp_path / "x"}
    assert download_weights("a/b") == tmp_path / "x"


def test_hub_is_asked_for_a_named_encoder_only_on_demand(hub, tmp_path):
    small = create_vision_encoder(VisionConfig("phikon", 32, kwargs=SHORT), pretrained=False)
    assert not hub.asked
    save_file(small.trunk.state_dict(), tmp_path / "w")
    hub.files = {("owkin/phikon", "model.safetensors"): tmp_path / "w"}
    got = create_vision_encoder(VisionConfig("phikon", 32, weights="hub", kwargs=SHORT))
    assert hub.asked == [("owkin/phikon", "model.safetensors")]
    torch.testing.assert_close(got.trunk.cls_token, small.trunk.cls_token)


def test_a_hub_name_is_saved_as_an_architecture(hub, tmp_path, monkeypatch):
    cfg = {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}
    monkeypatch.setattr(
        "timm.models.load_model_config_from_hf",
        lambda name: (cfg, "vit_base_patch16_224", SHORT),
    )
    plain = create_vision_encoder(VisionConfig("vit_base_patch16_224", 32, kwargs=SHORT))
    save_file(plain.trunk.state_dict(), tmp_path / "w")
    hub.files = {("a/b", "model.safetensors"): tmp_path / "w"}
    got = create_vision_encoder(VisionConfig("hf-hub:a/b", 32))
    assert got.config.architecture == "vit_base_patch16_224"
    assert got.config.mean == (0.1, 0.2, 0.3)
    hub.files.clear()
    again = create_vision_encoder(got.config, pretrained=False)
    again.trunk.load_state_dict(got.trunk.state_dict())
    with pytest.raises(InputError, match="architecture"):
        create_vision_encoder(VisionConfig("hf-hub:a/b", 32), pretrained=False)


def test_a_hub_repository_that_is_no_timm_model(monkeypatch):
    def no_architecture(name):
        raise KeyError("architecture")

    monkeypatch.setattr("timm.models.load_model_config_from_hf", no_architecture)
    with pytest.raises(InputError, match="not a timm model"):
        hub_settings("owkin/phikon")


def test_where_timm_keeps_its_weights():
    assert timm_hub_id("resnet18") == "timm/resnet18.a1_in1k"
    with pytest.raises(InputError, match="knows no weights"):
        timm_hub_id("no_such_model")
