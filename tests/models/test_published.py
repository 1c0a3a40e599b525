from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from napari_umpire.errors import InputError
from napari_umpire.genes.vocabulary import GeneVocabulary
from napari_umpire.models import VisionConfig, import_published, load_model_folder
from napari_umpire.models.vision import create_vision_encoder
from napari_umpire.models.visiumformer import UNUSED_PUBLISHED_KEYS

SHORT = {"embed_dim": 64, "depth": 1, "num_heads": 2, "img_size": 32}
VISION = VisionConfig("phikon", 32, kwargs=SHORT)


@pytest.fixture
def published(monkeypatch, vocabulary):
    """The published vocabulary, without its files, of 100 genes."""
    monkeypatch.setattr(GeneVocabulary, "from_published", lambda folder: vocabulary)


def spot_backbone():
    """The published gene encoder in stock torch parts: width 64, so two heads of 32."""
    module = nn.Module()
    module.embeddings = nn.Embedding(135, 64, padding_idx=1)
    module.positional_embedding = nn.Embedding(50, 64)
    module.encoder_layer = nn.TransformerEncoderLayer(
        64, 2, 96, dropout=0.0, batch_first=True, layer_norm_eps=1e-12
    )
    module.encoder = nn.TransformerEncoder(module.encoder_layer, 3, enable_nested_tensor=False)
    module.classifier_head = nn.Linear(64, 130)
    module.pooler_head, module.cls_head = nn.Linear(64, 64), nn.Linear(64, 164)
    return module


@pytest.fixture
def umpire():
    """The whole published model, with an image encoder by transformers' names."""
    module = nn.Module()
    module.spot_backbone = spot_backbone()
    module.spot_projection = nn.Linear(64, 24)
    module.visual_projection = nn.Linear(64, 24)
    module.logit_scale = nn.Parameter(torch.tensor(3.5))
    return module


def state_of(umpire):
    from napari_umpire.models.vision import create_vision_encoder

    trunk = create_vision_encoder(VISION, pretrained=False).trunk
    state = dict(umpire.state_dict())
    timm = trunk.state_dict()
    pairs = {
        "embeddings.cls_token": "cls_token", "embeddings.position_embeddings": "pos_embed",
        "embeddings.patch_embeddings.projection": "patch_embed.proj", "layernorm": "norm",
        "encoder.layer.0.layernorm_before": "blocks.0.norm1",
        "encoder.layer.0.layernorm_after": "blocks.0.norm2",
        "encoder.layer.0.attention.output.dense": "blocks.0.attn.proj",
        "encoder.layer.0.intermediate.dense": "blocks.0.mlp.fc1",
        "encoder.layer.0.output.dense": "blocks.0.mlp.fc2",
    }  # fmt: skip
    for theirs, ours in pairs.items():
        for suffix in ("", ".weight", ".bias"):
            if ours + suffix in timm:
                state[f"visual_backbone.{theirs}{suffix}"] = timm[ours + suffix]
    for suffix in ("weight", "bias"):
        parts = timm[f"blocks.0.attn.qkv.{suffix}"].chunk(3)
        for name, part in zip(("query", "key", "value"), parts, strict=True):
            state[f"visual_backbone.encoder.layer.0.attention.attention.{name}.{suffix}"] = part
    return state, trunk


def dump(path, state):
    path.write_bytes(pickle.dumps({k: v.clone() for k, v in state.items()}))
    return path


@pytest.mark.usefixtures("published")
def test_the_converted_model_computes_what_the_published_does(tmp_path, umpire):
    state, trunk = state_of(umpire)
    state["visual_backbone.pooler.dense.bias"] = torch.zeros(64)
    state["strange"] = torch.zeros(1)
    path = dump(tmp_path / "with_phikon.pkl", state)
    done = import_published(path, tmp_path, tmp_path / "model", vision=VISION)
    assert done.left_out == ("strange",)
    assert sorted(done.unused) == sorted(f"spot_backbone.{k}" for k in UNUSED_PUBLISHED_KEYS)
    assert "16 tensors" in done.report()
    assert "strange" in done.report()

    loaded = load_model_folder(done.folder)
    former = loaded.config.gene.visiumformer
    assert (former.dim, former.heads, former.layers, former.length) == (64, 2, 3, 50)
    assert (former.pooling, loaded.config.tokens.rounding) == ("published", "published")
    assert loaded.config.tokens.length == 50
    assert loaded.config.dim == 24
    assert not loaded.config.adapter

    tokens = torch.from_numpy(np.random.default_rng(0).integers(30, 130, (2, 50)))
    tokens[1, 20:] = 1
    theirs = umpire.spot_backbone
    x = theirs.embeddings(tokens) + theirs.positional_embedding.weight
    for layer in theirs.encoder.layers:
        x = layer(x, src_key_padding_mask=tokens == 1)
    expected = x[:, 3:].mean(dim=1)
    torch.testing.assert_close(loaded.model.encode_gene(tokens), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        loaded.model.spot_projection(expected), umpire.spot_projection(expected)
    )
    pixels = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(
        loaded.model.encode_image(pixels), trunk.eval()(loaded.model.visual_preprocess(pixels))
    )
    assert loaded.model.logit_scale.item() == 3.5


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.pop("visual_backbone.layernorm.bias"), "visual_backbone.norm.bias is missing"),
        (lambda s: s.update({"spot_projection.bias": torch.ones(3)}),
         r"spot_projection.bias has shape \(3,\) instead of \(24,\)"),
        (lambda s: s.pop("spot_backbone.embeddings.weight"), "not a published UMPIRE model"),
    ],
)  # fmt: skip
def test_what_is_not_whole_is_not_written(tmp_path, umpire, change, words):
    state, _ = state_of(umpire)
    change(state)
    path = dump(tmp_path / "x.pkl", state)
    with pytest.raises(InputError, match=words):
        import_published(path, tmp_path, tmp_path / "model", vision=VISION)
    assert not (tmp_path / "model").exists()


@pytest.mark.usefixtures("published")
def test_the_image_encoder_is_told_from_its_names(tmp_path, umpire):
    state, _ = state_of(umpire)
    # Of the published size, a ViT of one layer lacks the other eleven.
    with pytest.raises(InputError, match=r"blocks\.1\..* is missing|instead of"):
        import_published(dump(tmp_path / "x.pkl", state), tmp_path, tmp_path / "model")
    other = {k: v for k, v in state.items() if not k.startswith("visual_backbone.")}
    path = dump(tmp_path / "x.pkl", {**other, "visual_backbone.x": torch.ones(1)})
    with pytest.raises(InputError, match="not known"):
        import_published(path, tmp_path, tmp_path / "model")


@pytest.mark.usefixtures("published")
def test_conch_is_told_from_its_names_and_imported(tmp_path, umpire):
    state, _ = state_of(umpire)
    state = {k: v for k, v in state.items() if not k.startswith("visual_")}
    config = VisionConfig("conch", kwargs={"img_size": 224, "depth": 12})
    tower = create_vision_encoder(config, pretrained=False).trunk
    state |= {f"visual_backbone.{k}": v for k, v in tower.state_dict().items()}
    state["visual_backbone.proj_contrast"] = torch.ones(512, 512)
    state |= {"visual_projection.weight": torch.ones(24, 512) / 512,
              "visual_projection.bias": torch.zeros(24)}  # fmt: skip
    done = import_published(dump(tmp_path / "x.pkl", state), tmp_path, tmp_path / "model")
    assert done.left_out == ("visual_backbone.proj_contrast",)
    model = load_model_folder(done.folder).model
    assert model.config.vision.kwargs["img_size"] == 224
    pixels = torch.rand(1, 3, 224, 224)
    expected = tower.eval()(model.visual_preprocess(pixels))
    torch.testing.assert_close(model.encode_image(pixels), expected)


@pytest.mark.usefixtures("published")
def test_an_existing_folder_is_kept(tmp_path, umpire):
    path = dump(tmp_path / "x.pkl", state_of(umpire)[0])
    import_published(path, tmp_path, tmp_path / "model", vision=VISION)
    with pytest.raises(InputError, match="already exists"):
        import_published(path, tmp_path, tmp_path / "model", vision=replace(VISION))
    import_published(path, tmp_path, tmp_path / "model", vision=VISION, overwrite=True)


@pytest.mark.real
@pytest.mark.slow
def test_with_the_real_published_vocabulary(tmp_path, umpire, data_dir):
    umpire.spot_backbone.embeddings = nn.Embedding(20345, 64, padding_idx=1)
    umpire.spot_backbone.classifier_head = nn.Linear(64, 20340)
    path = dump(tmp_path / "x.pkl", state_of(umpire)[0])
    done = import_published(path, data_dir / "umpire_published", tmp_path / "model", vision=VISION)
    loaded = load_model_folder(done.folder)
    assert loaded.vocabulary.n_tokens == 20340
    assert loaded.vocabulary.ids[1586].startswith("ENSG")
