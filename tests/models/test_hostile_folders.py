"""Model folders that lie: each is refused in words, before memory or time is spent on it."""

from __future__ import annotations

import json
import os

import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_umpire.errors import InputError
from napari_umpire.models import (
    Umpire,
    VisionConfig,
    create_vision_encoder,
    load_model_folder,
    save_model,
)
from napari_umpire.models.pickles import read_state_dict
from napari_umpire.models.rank_checkpoint import read_rank_encoder
from napari_umpire.models.weight_files import read_weights

VIT = {"embed_dim": 32, "depth": 1, "num_heads": 2, "img_size": 32}


@pytest.fixture
def folder(tmp_path, tiny_config, vocabulary):
    return save_model(tmp_path / "m", Umpire(tiny_config), vocabulary)


def at(*keys, value):
    """A change of one setting."""

    def change(data):
        for key in keys[:-1]:
            data = data[key]
        data[keys[-1]] = value

    return change


def former(**settings):
    return lambda data: data["gene"]["visiumformer"].update(settings)


def timm(**kwargs):
    def change(data):
        data["vision"].update(
            name="resnet10t", architecture="resnet10t", kwargs=kwargs, mean=[0.5] * 3, std=[0.5] * 3
        )

    return change


SETTINGS = {
    "layers": (former(layers=10**7), "layers 10000000"),
    "heads": (former(heads=0), "heads 0"),
    "length": (former(length=10**12), "length"),
    "levels": (former(levels=[0] * 1000), "levels"),
    "width beyond the weights": (former(dim=65_536, heads=8), "far larger than its weights"),
    "dim": (at("dim", value=0), "dim 0"),
    "tokens": (at("tokens", "length", value=0), "length 0"),
    "scale limit": (at("scale_limit", value=-1.0), "scale_limit -1"),
    "absurd scale limit": (at("scale_limit", value=1e30), "scale_limit"),
    "channels": (at("vision", "kwargs", value={"widths": [10**9] * 3}), "cannot be built"),
    "many widths": (at("vision", "kwargs", value={"widths": [1] * 100_000}), "cannot be built"),
    "patches": (at("vision", "size_px", value=20_000), "size_px 20000"),
    "no field": (at("vision", "field_um", value=1e-9), "field_um"),
    "no spread": (at("vision", "std", value=[0.0] * 3), "std 0"),
    "neighbours": (at("context", "neighbours", value=10**9), "neighbours"),
    "checkpoint": (timm(checkpoint_path="/etc/passwd"), "Got: checkpoint_path.*act_layer"),
    "download": (timm(pretrained=True), "Got: pretrained"),
    "url": (timm(pretrained_cfg={"url": "http://127.0.0.1/x"}), "Got: pretrained_cfg"),
    "overlay": (timm(pretrained_cfg_overlay={"file": "/x"}), "Got: pretrained_cfg_overlay"),
    "another network": (timm(features_only=True), "Got: features_only"),
    "a path for a word": (timm(act_layer="/etc/passwd"), "cannot be built.*act_layer"),
    "a module for a word": (timm(norm_layer="os.system"), "cannot be built.*norm_layer"),
    "a table for a word": (timm(global_pool={"file": "x"}), "cannot be built.*global_pool"),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_that_cannot_be_are_refused(folder, name):
    change, words = SETTINGS[name]
    path = folder / "config.json"
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
    with pytest.raises(InputError, match=words):
        load_model_folder(folder)


TEXTS = {
    "nan": ('"scale_limit": null', '"scale_limit": NaN', "NaN"),
    "infinite": ('"scale_limit": null', '"scale_limit": 1e999', "1e999"),
    "infinite field": ('"field_um": 112.0', '"field_um": -Infinity', "-Infinity"),
    "digits": ('"dim": 16', '"dim": ' + "9" * 10_000, "cannot be read"),
    "400 digits": ('"field_um": 112.0', '"field_um": ' + "9" * 400, "field_um"),
    "depth": ('"widths": [', '"widths": [' + "[" * 100_000, "cannot be read"),
    "990 deep": (
        '"norm": "group"', '"norm": ' + "[" * 500 + "]" * 500, "cannot be"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TEXTS)
def test_json_that_cannot_be_is_refused(folder, name):
    old, new, words = TEXTS[name]
    path = folder / "config.json"
    text = json.dumps(json.loads(path.read_text()))
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(InputError, match=words):
        load_model_folder(folder)


def test_a_configuration_that_another_program_has_saved_is_refused(folder):
    path = folder / "config.json"
    path.write_text(path.read_text(), encoding="utf-8-sig")
    with pytest.raises(InputError, match="mark of its byte order"):
        load_model_folder(folder)


def overflowing(state):
    name = next(k for k, v in state.items() if v.ndim > 1)
    state[name] = state[name].double() * 1e300


def typed(dtype):
    def change(state):
        name = next(k for k, v in state.items() if v.ndim > 1)
        state[name] = state[name].to(dtype)

    return change


def scale(value):
    return lambda state: state["logit_scale"].fill_(value)


WEIGHTS = {
    "scale 200": (scale(200.0), "temperature of the model is impossible"),
    "scale 1e30": (scale(1e30), "temperature of the model is impossible"),
    "scale -200": (scale(-200.0), "temperature of the model is impossible"),
    "whole numbers": (typed(torch.int8), "numbers of another kind.*int8"),
    "complex": (typed(torch.complex64), "numbers of another kind.*complex64"),
    "too large for float32": (overflowing, "not finite"),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_that_cannot_be_are_refused(folder, name):
    change, words = WEIGHTS[name]
    state = load_file(folder / "model.safetensors")
    change(state)
    save_file(state, folder / "model.safetensors")
    with pytest.raises(InputError, match=words):
        load_model_folder(folder)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_in_another_precision_open(folder, dtype):
    before = load_model_folder(folder).model
    state = load_file(folder / "model.safetensors")
    save_file({k: v.to(dtype) for k, v in state.items()}, folder / "model.safetensors")
    after = load_model_folder(folder).model
    pixels = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(
        after.encode_image(pixels), before.encode_image(pixels), atol=0.05, rtol=0.05
    )


@pytest.mark.parametrize("part", ["config.json", "genes.csv", "model.safetensors"])
@pytest.mark.parametrize("what", ["pipe", "device", "loop"])
def test_what_is_no_file_is_refused(folder, part, what):
    path = folder / part
    path.unlink()
    if what == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(path.name if what == "loop" else "/dev/zero")
    with pytest.raises(InputError, match=part):
        load_model_folder(folder)


def test_a_list_of_more_genes_than_there_are_tokens_is_not_read_to_its_end(folder):
    lines = "".join(f"g{i},s,1\n" for i in range(70_000))
    (folder / "genes.csv").write_text("id,symbol,mean\n" + lines)
    with pytest.raises(InputError, match=r"65,507 genes \(1 to 65,506 fit"):
        load_model_folder(folder)
    with (folder / "genes.csv").open("wb") as file:
        file.truncate(10**9)
    with pytest.raises(InputError, match="genes.csv is too large"):
        load_model_folder(folder)


# --- checkpoints ---------------------------------------------------------------------------------


def vit_names(prefix, dim=32):
    """The tensors of a ViT of transformers, under a prefix."""
    e = f"{prefix}embeddings."
    return {
        e + "patch_embeddings.projection.weight": torch.zeros(dim, 3, 16, 16),
        e + "cls_token": torch.zeros(1, 1, dim),
    }


@pytest.mark.parametrize("family", ["transformers", "timm"])
def test_two_encoders_in_one_file_are_named(tmp_path, family):
    if family == "timm":
        plain = create_vision_encoder(VisionConfig("vit_base_patch16_224", 32, kwargs=VIT))
        one = plain.trunk.state_dict()
        state = {f"{tower}.{k}": v for tower in ("student", "teacher") for k, v in one.items()}
    else:
        state = vit_names("student.") | vit_names("teacher.")
    path = tmp_path / "two.pt"
    torch.save(state, path)
    config = VisionConfig("vit_base_patch16_224", 32, weights=str(path), kwargs=VIT)
    with pytest.raises(InputError, match=r"2 image encoders.*'student\.' and 'teacher\.'.*prefix"):
        create_vision_encoder(config)


def test_query_key_and_value_that_do_not_fit_together_are_refused(tmp_path):
    layer = "encoder.layer.0.attention.attention."
    state = vit_names("") | {
        f"{layer}{part}.weight": torch.zeros(32, wide)
        for part, wide in (("query", 32), ("key", 31), ("value", 32))
    }
    torch.save(state, tmp_path / "x.pt")
    config = VisionConfig("phikon", 32, weights=str(tmp_path / "x.pt"), kwargs=VIT)
    with pytest.raises(InputError, match="do not fit together"):
        create_vision_encoder(config)


def test_weights_of_an_encoder_that_are_not_finite_are_refused(tmp_path):
    config = VisionConfig("vit_base_patch16_224", 32, kwargs=VIT)
    state = create_vision_encoder(config).trunk.state_dict()
    state["norm.weight"][3] = torch.nan
    torch.save(state, tmp_path / "x.pt")
    named = VisionConfig("vit_base_patch16_224", 32, weights=str(tmp_path / "x.pt"), kwargs=VIT)
    with pytest.raises(InputError, match="norm.weight holds values that are not finite"):
        create_vision_encoder(named)


TENSORS = {
    "one number for a million million": torch.zeros(1).expand(10**6, 10**6),
    "no storage at all": torch.zeros(10**6, 10**6, device="meta"),
    "sparse": torch.zeros(3, 3).to_sparse(),
}


@pytest.mark.parametrize("name", TENSORS)
def test_a_tensor_larger_than_what_is_stored_of_it_is_refused(tmp_path, name):
    torch.save({"a": TENSORS[name]}, tmp_path / "x.pt")
    with pytest.raises(InputError, match=r"the tensor a is larger than what is stored|objects"):
        read_weights(tmp_path / "x.pt")


def packed(path, state):
    """A torch checkpoint whose members are deflated."""
    import zipfile

    torch.save(state, path)
    with zipfile.ZipFile(path) as source:
        members = {name: source.read(name) for name in source.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def test_a_checkpoint_that_unpacks_to_far_more_than_it_takes_is_refused(tmp_path):
    path = packed(tmp_path / "x.pt", {"a": torch.zeros(2_000_000)})
    with pytest.raises(InputError, match="x.pt is too large.*8 MB when unpacked"):
        read_weights(path)
    import pickle

    class Inside:
        def __reduce__(self):
            return torch.storage._load_from_bytes, (path.read_bytes(),)

    nested = tmp_path / "nested.pkl"
    nested.write_bytes(pickle.dumps({"a": Inside()}, 4))
    with pytest.raises(InputError, match="nested.pkl is too large"):
        read_state_dict(nested)


SHAPES = {
    "a position table of one axis": ("positional_embedding.weight", torch.zeros(5)),
    "a head of none": ("classifier_head.weight", torch.tensor(1.0)),
}


@pytest.mark.parametrize("name", SHAPES)
def test_a_gene_encoder_of_impossible_shapes_is_refused(tmp_path, tiny_former, name):
    from napari_umpire.models import Visiumformer

    key, tensor = SHAPES[name]
    torch.save(Visiumformer(tiny_former).state_dict() | {key: tensor}, tmp_path / "x.pt")
    with pytest.raises(InputError, match="not a published gene encoder"):
        read_rank_encoder(tmp_path / "x.pt")
