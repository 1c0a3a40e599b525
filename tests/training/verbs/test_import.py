"""`umpire-train import`: from a published pickle to a model folder, on the command line."""

from __future__ import annotations

import pickle

import pytest
import torch
from torch import nn

from napari_umpire.genes.vocabulary import GeneVocabulary
from napari_umpire.models.folder import load_model_folder
from umpire_training.cli import main


@pytest.fixture
def pickled(tmp_path, monkeypatch):
    """A checkpoint of the published names, of one layer, with a 1-layer stand-in for UNI."""
    from napari_umpire.models import VisionConfig
    from napari_umpire.models.vision import create_vision_encoder

    ids = [f"ENSG{i:011d}" for i in range(100)]
    vocabulary = GeneVocabulary(ids, [f"G{i}" for i in range(100)], [1.5] * 100, "test")
    monkeypatch.setattr(GeneVocabulary, "from_published", lambda folder: vocabulary)
    module = nn.Module()
    backbone = module.spot_backbone = nn.Module()
    backbone.embeddings = nn.Embedding(135, 64, padding_idx=1)
    backbone.positional_embedding = nn.Embedding(50, 64)
    layer = nn.TransformerEncoderLayer(64, 2, 96, batch_first=True, layer_norm_eps=1e-12)
    backbone.encoder_layer = layer
    backbone.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
    backbone.classifier_head = nn.Linear(64, 130)
    backbone.pooler_head, backbone.cls_head = nn.Linear(64, 64), nn.Linear(64, 164)
    module.spot_projection, module.visual_projection = nn.Linear(64, 24), nn.Linear(64, 24)
    module.logit_scale = nn.Parameter(torch.tensor(3.5))
    vision = create_vision_encoder(VisionConfig("umpire-small"), pretrained=False)
    module.visual_projection = nn.Linear(vision.dim, 24)
    state = dict(module.state_dict())
    state |= {f"visual_backbone.{k}": v for k, v in vision.trunk.state_dict().items()}
    state["queue"] = torch.zeros(3)
    path = tmp_path / "with_small.pkl"
    path.write_bytes(pickle.dumps(state))
    return path, module


def test_it_makes_a_model_folder_and_lists_what_did_not_fit(pickled, tmp_path, capsys):
    path, module = pickled
    out = tmp_path / "model"
    argv = ["import", "--weights", str(path), "--vocabulary", str(tmp_path), "--output", str(out)]
    assert main(argv) == 2, "the image encoder cannot be told from its names"
    assert "image encoder that is not known" in capsys.readouterr().err
    assert not out.exists()
    assert main([*argv, "--vision", "umpire-small"]) == 0
    said = capsys.readouterr().err
    assert "without a place: queue" in said
    assert "never used: spot_backbone.pooler_head.weight" in said
    loaded = load_model_folder(out)
    torch.testing.assert_close(loaded.model.spot_projection.weight, module.spot_projection.weight)
    assert loaded.model.logit_scale.item() == 3.5
    assert main([*argv, "--vision", "umpire-small"]) == 2
    assert "already exists" in capsys.readouterr().err


def test_a_pickle_that_would_run_something_is_refused(tmp_path, capsys):
    class Bad:
        def __reduce__(self):
            return (print, ("run!",))

    path = tmp_path / "with_uni.pkl"
    path.write_bytes(pickle.dumps({"spot_projection.weight": Bad()}))
    out = tmp_path / "model"
    argv = ["import", "--weights", str(path), "--vocabulary", str(tmp_path), "--output", str(out)]
    assert main(argv) == 2
    said = capsys.readouterr()
    assert "run!" not in said.out
    assert str(path) in said.err
    assert not out.exists()
