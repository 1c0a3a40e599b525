from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from napari_umpire.errors import InputError
from napari_umpire.models.config_json import from_data, to_data
from napari_umpire.models.vision import VisionConfig, create_vision_encoder

# A ViT of 2 blocks in place of the published 12, where the size does not matter.
SHORT = {"embed_dim": 32, "depth": 2, "num_heads": 4, "img_size": 32}


def timm_vit(**changes):
    return create_vision_encoder(
        VisionConfig("vit_base_patch16_224", size_px=32, kwargs=SHORT | changes)
    )


@pytest.fixture
def pixels():
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8))


def test_pixels_may_come_in_any_layout(pixels):
    encoder = timm_vit().eval()
    features = encoder(pixels)
    assert features.shape == (2, encoder.dim) == (2, 32)
    torch.testing.assert_close(encoder(pixels.permute(0, 3, 1, 2)), features)
    torch.testing.assert_close(encoder(pixels.float() / 255), features)


def test_preprocessing_is_that_of_the_encoder(pixels):
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    encoder = create_vision_encoder(VisionConfig("umpire-small", 32, mean=mean, std=std))
    expected = (pixels.numpy() / 255 - mean) / np.array(std)
    np.testing.assert_allclose(
        encoder.preprocess(pixels), expected.transpose(0, 3, 1, 2), atol=1e-6
    )
    # timm's own constants where none are given
    assert timm_vit().config.mean == (0.5, 0.5, 0.5)
    resnet = create_vision_encoder(VisionConfig("resnet18", 32))
    assert resnet.config.mean == (0.485, 0.456, 0.406)
    assert resnet(pixels).shape == (2, resnet.dim) == (2, 512)


@pytest.mark.parametrize(
    ("patches", "words"),
    [
        (torch.zeros(2, 3, 64, 64), r"\(2, 3, 64, 64\).*\(patches, 3, 32, 32\)"),
        (torch.zeros(2, 4, 32, 32), "do not fit"),
        (torch.zeros(3, 32, 32), "do not fit"),
        (torch.zeros(2, 3, 32, 32, dtype=torch.int64), "uint8 or float"),
    ],
)
def test_wrong_patches_are_refused(patches, words):
    with pytest.raises(InputError, match=words):
        timm_vit()(patches)


def test_the_resolved_configuration_builds_the_same_without_weights(tmp_path, pixels):
    first = timm_vit()
    save_file(first.trunk.state_dict(), tmp_path / "w.safetensors")
    config = VisionConfig(
        "vit_base_patch16_224", 32, weights=str(tmp_path / "w.safetensors"), kwargs=SHORT
    )
    loaded = create_vision_encoder(config)
    assert loaded.config.weights is None
    assert loaded.config.architecture == "vit_base_patch16_224"
    again = from_data(VisionConfig, to_data(loaded.config), "vision")
    assert again == loaded.config
    rebuilt = create_vision_encoder(again, pretrained=False)
    rebuilt.trunk.load_state_dict(loaded.trunk.state_dict())
    torch.testing.assert_close(first.eval()(pixels), rebuilt.eval()(pixels))


@pytest.mark.parametrize("kind", ["safetensors", "torch", "wrapped"])
def test_a_local_file_always_works(tmp_path, pixels, kind, monkeypatch):
    monkeypatch.setattr("huggingface_hub.hf_hub_download", None)  # the network is not asked
    first = timm_vit()
    state = first.trunk.state_dict() | {"head.weight": torch.zeros(3, 32)}
    path = tmp_path / "weights.bin"
    if kind == "safetensors":
        save_file(state, path)
    else:
        torch.save({"state_dict": state} if kind == "wrapped" else state, path)
    config = VisionConfig("vit_base_patch16_224", 32, weights=str(path), kwargs=SHORT)
    second = create_vision_encoder(config)
    torch.testing.assert_close(first.eval()(pixels), second.eval()(pixels))


def test_weights_that_do_not_fit_are_described(tmp_path):
    state = timm_vit().trunk.state_dict()
    state["norm.weight"] = torch.zeros(7)
    state["strange"] = torch.zeros(1)
    del state["cls_token"]
    path = tmp_path / "weights.pt"
    torch.save(state, path)
    with pytest.raises(InputError) as error:
        create_vision_encoder(
            VisionConfig("vit_base_patch16_224", 32, weights=str(path), kwargs=SHORT)
        )
    message = str(error.value)
    for words in (str(path), "cls_token is missing", "norm.weight has shape (7,) instead of (32,)",
                  "strange has no place"):  # fmt: skip
        assert words in message


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (VisionConfig("vit_bass_patch16_224"), "Did you mean.*vit_base_patch16_224"),
        (VisionConfig("resnet18", kwargs={"no_such": 1}), "lacks a setting.*no_such"),
        (VisionConfig("umpire-small", kwargs={"no_such": 1}), "lacks a setting.*no_such"),
        (VisionConfig("umpire-small", kwargs={"widths": []}), "widths.*Got: \\[\\]"),
        (VisionConfig("umpire-small", kwargs={"widths": "zz"}), "widths.*Got: zz"),
        (VisionConfig("umpire-small", kwargs={"widths": 3}), "umpire-small cannot be built.*3"),
        (
            VisionConfig("resnet18", kwargs={"in_chans": "zz"}),
            "Got: in_chans. Expected: act_layer, ",
        ),
        (VisionConfig("umpire-small", weights="hub"), "trained from scratch"),
        (VisionConfig("phikon"), "owkin/phikon"),
        (VisionConfig("uni"), "gated.*hf auth login"),
        (VisionConfig("resnet18", weights="/nowhere/w.pt"), "/nowhere/w.pt"),
    ],
)
def test_what_cannot_be_built_is_said(config, words):
    with pytest.raises(InputError, match=words):
        create_vision_encoder(config)


def test_impossible_sizes():
    with pytest.raises(InputError, match="size_px 0"):
        VisionConfig(size_px=0)


# --- Phikon: weights by the names of transformers' ViTModel ---------------------------------------


def hf_names(n_blocks, family):
    """Shapes of a ViTModel of width 32, by the names of transformers 4 or 5."""
    shapes = {
        "embeddings.cls_token": (1, 1, 32), "embeddings.position_embeddings": (1, 5, 32),
        "embeddings.patch_embeddings.projection.weight": (32, 3, 16, 16),
        "embeddings.patch_embeddings.projection.bias": (32,),
        "layernorm.weight": (32,), "layernorm.bias": (32,),
    }  # fmt: skip
    for i in range(n_blocks):
        block = f"encoder.layer.{i}." if family == 4 else f"layers.{i}."
        for name, n_out, n_in in part_names(family).values():
            shapes[block + name + ".weight"] = (n_out, n_in) if n_in else (n_out,)
            shapes[block + name + ".bias"] = (n_out,)
    return shapes


def part_names(family):
    """Role -> (name, outputs, inputs), as the two families of transformers call them."""
    q, o, f1, f2 = {
        4: ("attention.attention.{}", "attention.output.dense", "intermediate.dense",
            "output.dense"),
        5: ("attention.{}_proj", "attention.o_proj", "mlp.fc1", "mlp.fc2"),
    }[family]  # fmt: skip
    words = {4: ("query", "key", "value"), 5: ("q", "k", "v")}[family]
    return {
        **{role: (q.format(w), 32, 32) for role, w in zip("qkv", words, strict=True)},
        "o": (o, 32, 32), "f1": (f1, 128, 32), "f2": (f2, 32, 128),
        "n1": ("layernorm_before", 32, 0), "n2": ("layernorm_after", 32, 0),
    }  # fmt: skip


def plain_vit(state, x, n_blocks, family):
    """ViTModel's forward written out on its own names; (B, 3, 32, 32) -> the class token."""
    from torch.nn import functional as F

    def linear(x, name):
        return x @ state[name + ".weight"].T + state[name + ".bias"]

    def norm(x, name):
        x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, correction=0) + 1e-6).sqrt()
        return x * state[name + ".weight"] + state[name + ".bias"]

    projection = "embeddings.patch_embeddings.projection"
    patches = F.unfold(x, 16, stride=16).transpose(1, 2)  # row by row of the grid
    x = patches @ state[projection + ".weight"].flatten(1).T + state[projection + ".bias"]
    x = torch.cat([state["embeddings.cls_token"].expand(len(x), -1, -1), x], dim=1)
    x = x + state["embeddings.position_embeddings"]
    for i in range(n_blocks):
        block = f"encoder.layer.{i}." if family == 4 else f"layers.{i}."
        part = {role: block + name for role, (name, _, _) in part_names(family).items()}
        h = norm(x, part["n1"])
        q, k, v = (linear(h, part[r]).unflatten(-1, (4, 8)).transpose(1, 2) for r in "qkv")
        a = torch.softmax(q @ k.transpose(-1, -2) / 8**0.5, dim=-1) @ v
        x = x + linear(a.transpose(1, 2).flatten(2), part["o"])
        x = x + linear(F.gelu(linear(norm(x, part["n2"]), part["f1"])), part["f2"])
    return norm(x, "layernorm")[:, 0]


@pytest.mark.parametrize("prefix", ["", "vit."])
@pytest.mark.parametrize("family", [4, 5])
def test_phikon_by_both_families_of_names(tmp_path, pixels, family, prefix):
    state = {k: torch.randn(s) * 0.2 for k, s in hf_names(2, family).items()}
    named = {prefix + k: v for k, v in state.items()} | {
        prefix + "pooler.dense.bias": torch.ones(3)
    }
    torch.save(named, tmp_path / "phikon.bin")
    encoder = create_vision_encoder(
        VisionConfig("phikon", 32, weights=str(tmp_path / "phikon.bin"), kwargs=SHORT)
    ).eval()
    normal = (pixels / 255 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor(
        [0.229, 0.224, 0.225]
    )
    expected = plain_vit(state, normal.permute(0, 3, 1, 2), 2, family)
    torch.testing.assert_close(encoder(pixels), expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.pop("layers.1.attention.k_proj.weight"), "query, key and value"),
        (lambda s: s.update({"layers.0.attention.relative": torch.ones(1)}), "no ViT"),
    ],
)
def test_a_damaged_phikon_is_described(tmp_path, change, words):
    state = {k: torch.randn(s) for k, s in hf_names(2, 5).items()}
    change(state)
    torch.save(state, tmp_path / "phikon.bin")
    with pytest.raises(InputError, match=words):
        create_vision_encoder(
            VisionConfig("phikon", 32, weights=str(tmp_path / "phikon.bin"), kwargs=SHORT)
        )


def test_uni_is_built_with_its_arguments():
    with torch.device("meta"):
        encoder = create_vision_encoder(VisionConfig("uni"), pretrained=False)
    assert encoder.dim == 1024
    assert len(encoder.trunk.blocks) == 24
    assert hasattr(encoder.trunk.blocks[0].ls1, "gamma")
    assert encoder.config.kwargs == {"init_values": 1e-5, "dynamic_img_size": True}
    assert encoder.trunk.patch_embed.strict_img_size is False  # what dynamic_img_size sets
