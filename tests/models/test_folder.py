from __future__ import annotations

import json
import pickle
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_umpire.errors import InputError
from napari_umpire.models import (
    GeneConfig,
    GeneMLPConfig,
    ProjectionConfig,
    Umpire,
    VisionConfig,
    load_model_folder,
    save_model,
)


@pytest.fixture
def model(tiny_config):
    return Umpire(tiny_config).eval()


@pytest.fixture
def folder(tmp_path, model, vocabulary):
    card = {"title": "A | model", "license": "bsd-3-clause", "Trained on": "six\nspots"}
    return save_model(tmp_path / "models" / "tiny", model, vocabulary, card)


def test_a_model_comes_back_as_it_was(folder, model, vocabulary):
    loaded = load_model_folder(folder)
    assert loaded.config == model.config
    assert not loaded.model.training
    assert loaded.vocabulary.digest == vocabulary.digest
    for key, tensor in model.state_dict().items():
        assert torch.equal(tensor, loaded.model.state_dict()[key]), key
    tokens = torch.randint(30, 130, (2, 64))
    assert torch.equal(model.encode_gene(tokens), loaded.model.encode_gene(tokens))


@pytest.mark.parametrize("name", ["umpire-texture", "umpire-statistics", "umpire-hybrid"])
def test_a_model_for_small_data_comes_back_as_it_was(tmp_path, tiny_config, vocabulary, name):
    former = replace(tiny_config.gene.visiumformer, levels=(0, 2))
    gene = GeneConfig(
        visiumformer=former, standardise=True, projection=ProjectionConfig(hidden=8, dropout=0.2)
    )
    vision = VisionConfig(name, size_px=64, white_balance=True)
    model = Umpire(replace(tiny_config, gene=gene, vision=vision))
    model.encode_image(torch.rand(3, 3, 64, 64))  # running statistics move
    model.set_gene_statistics(torch.rand(64), torch.rand(64))
    model.eval()
    folder = save_model(tmp_path / "m", model, vocabulary)
    loaded = load_model_folder(folder)
    assert loaded.config == model.config
    assert "background made white" in (folder / "README.md").read_text()
    pixels, tokens = torch.rand(2, 3, 64, 64), torch.randint(30, 130, (2, 20))
    for theirs, ours in (
        (loaded.model.project_image(loaded.model.encode_image(pixels)),
         model.project_image(model.encode_image(pixels))),
        (loaded.model.project_gene(loaded.model.encode_gene(tokens)),
         model.project_gene(model.encode_gene(tokens))),
    ):  # fmt: skip
        torch.testing.assert_close(theirs, ours)
    change_tensors(folder, lambda s: s.update(spot_mean=torch.zeros(3)))
    with pytest.raises(InputError, match="spot_mean has a wrong shape"):
        load_model_folder(folder)


def test_the_folder_holds_what_the_format_says(folder):
    names = sorted(p.name for p in folder.iterdir())
    assert names == ["README.md", "config.json", "genes.csv", "model.safetensors"]
    assert [p.name for p in folder.parent.iterdir()] == ["tiny"]
    assert folder.stat().st_mode & 0o055 == 0o055
    readme = (folder / "README.md").read_text()
    assert "# A | model" in readme
    assert "| Trained on | six spots |" in readme
    assert "license: bsd-3-clause" in readme


def test_the_digest_follows_weights_configuration_and_genes(folder, model, vocabulary, tmp_path):
    digest = load_model_folder(folder).digest
    same = save_model(tmp_path / "same", model, vocabulary, {"title": "other words"})
    assert load_model_folder(same).digest == digest
    with torch.no_grad():
        model.logit_scale += 1
    other = save_model(tmp_path / "other", model, vocabulary)
    assert load_model_folder(other).digest != digest


def test_an_existing_folder_is_kept(folder, model, vocabulary, tmp_path):
    before = load_model_folder(folder).digest
    with torch.no_grad():
        model.logit_scale += 1
    with pytest.raises(InputError, match="already exists"):
        save_model(folder, model, vocabulary)
    assert load_model_folder(folder).digest == before
    save_model(folder, model, vocabulary, overwrite=True)
    assert load_model_folder(folder).digest != before
    assert [p.name for p in folder.parent.iterdir()] == ["tiny"]
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("x")
    with pytest.raises(InputError, match="not a model folder"):
        save_model(precious, model, vocabulary, overwrite=True)
    assert (precious / "thesis.txt").exists()


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_killed_save_leaves_nothing_half_written(
    tmp_path, folder, model, vocabulary, monkeypatch, overwrite
):
    before = load_model_folder(folder).digest

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("napari_umpire.models.folder.write_card", killed)
    target = folder if overwrite else tmp_path / "models" / "new"
    with pytest.raises(KeyboardInterrupt):
        save_model(target, model, vocabulary, overwrite=overwrite)
    assert [p.name for p in folder.parent.iterdir()] == ["tiny"]
    assert load_model_folder(folder).digest == before


def change_tensors(folder, change):
    state = load_file(folder / "model.safetensors")
    change(state)
    save_file(state, folder / "model.safetensors")


def change_config(folder, change):
    data = json.loads((folder / "config.json").read_text())
    change(data)
    (folder / "config.json").write_text(json.dumps(data))


def truncate(path, n):
    path.write_bytes(path.read_bytes()[:n])


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda f: change_tensors(f, lambda s: s.pop("spot_projection.bias")),
         ["model.safetensors lacks the tensor spot_projection.bias"]),
        (lambda f: change_tensors(f, lambda s: s.update({"spot_projection.bias": torch.ones(9)})),
         ["tensor spot_projection.bias has a wrong shape", "(9,)", "(16,)"]),
        (lambda f: change_tensors(f, lambda s: s.update({"logit_scale": torch.ones(1)})),
         ["logit_scale", "(1,)", "()"]),
        (lambda f: change_tensors(f, lambda s: s.update(extra=torch.ones(9))),
         ["no place", "extra"]),
        (lambda f: change_tensors(f, lambda s: s["logit_scale"].fill_(torch.nan)),
         ["logit_scale", "not finite"]),
        (lambda f: truncate(f / "model.safetensors", 5000), ["not a readable safetensors file"]),
        (lambda f: (f / "model.safetensors").write_bytes(pickle.dumps({"a": 1})),
         ["not a readable safetensors file", "pickle"]),
        (lambda f: (f / "model.safetensors").unlink(), ["lacks model.safetensors"]),
        (lambda f: (f / "model.safetensors").rename(f / "with_uni.pkl"),
         ["with_uni.pkl", "import_published"]),
        (lambda f: (f / "genes.csv").unlink(), ["lacks genes.csv"]),
        (lambda f: truncate(f / "config.json", 40), ["config.json cannot be", "Expected: JSON"]),
        (lambda f: (f / "config.json").write_bytes(b"\xff\xfe\x00"), ["config.json", "utf-8"]),
        (lambda f: change_config(f, lambda c: c.update(dimm=3)), ["dimm", "Did you mean dim"]),
        (lambda f: change_config(f, lambda c: c.update(dim=-5)),
         ["config.json", "Got: dim -5"]),
        (lambda f: change_config(f, lambda c: c["gene"]["visiumformer"].update(n_tokens=131)),
         ["100 genes", "101 genes"]),
    ],
)  # fmt: skip
def test_damage_is_described(folder, damage, words):
    damage(folder)
    with pytest.raises(InputError) as error:
        load_model_folder(folder)
    for word in [str(folder), *words]:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("name", "words"), [("with_uni.pkl", "import_published"), ("notes.txt", "config.json")]
)
def test_a_file_in_place_of_a_folder(tmp_path, name, words):
    (tmp_path / name).write_bytes(b"\x80\x04.")
    with pytest.raises(InputError, match=words):
        load_model_folder(tmp_path / name)
    with pytest.raises(InputError, match="does not exist"):
        load_model_folder(tmp_path / "nothing")


def test_a_panel_must_be_among_the_genes(tmp_path, tiny_config, vocabulary):
    def with_panel(*panel):
        mlp = GeneMLPConfig(2, (4,), 3, panel=panel)
        return Umpire(replace(tiny_config, gene=GeneConfig("mlp", mlp=mlp)))

    with pytest.raises(InputError, match="lacks.*ENSG404"):
        save_model(tmp_path / "m", with_panel("ENSG404", vocabulary.ids[0]), vocabulary)
    with pytest.raises(InputError, match="panel"):
        save_model(tmp_path / "m", with_panel(), vocabulary)
    fitting = with_panel(str(vocabulary.ids[3]), str(vocabulary.ids[0]))
    loaded = load_model_folder(save_model(tmp_path / "m", fitting, vocabulary))
    assert loaded.config.gene.mlp.panel == (vocabulary.ids[3], vocabulary.ids[0])


def test_loading_asks_no_network(folder, monkeypatch):
    import socket

    def refuse(*_, **__):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    load_model_folder(folder)


class Computing(torch.nn.Module):
    """An encoder that cannot be built without storage, and keeps a table outside its state."""

    num_features = 3

    def __init__(self, share=0.5):
        super().__init__()
        # item() is what older timm models do with their drop-path rates
        self.rate = torch.linspace(0, share, 3)[-1].item() if share else 0.0
        self.register_buffer("table", torch.arange(3.0), persistent=False)

    def forward(self, pixels):
        return pixels.mean((2, 3)) + self.table + self.rate


@pytest.mark.parametrize("share", [0.5, 0.0], ids=["computes", "keeps a table"])
def test_encoders_that_need_storage_to_be_built(
    tmp_path, monkeypatch, tiny_config, vocabulary, share
):
    from napari_umpire.models.small_vision import SMALL_ENCODERS

    monkeypatch.setitem(SMALL_ENCODERS, "computing", Computing)
    vision = replace(tiny_config.vision, name="computing", kwargs={"share": share})
    model = Umpire(replace(tiny_config, vision=vision))
    loaded = load_model_folder(save_model(tmp_path / "m", model, vocabulary))
    pixels = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(loaded.model.encode_image(pixels), model.encode_image(pixels))


def test_a_loaded_model_can_be_trained(folder):
    model = load_model_folder(folder).model.train()
    parameters = model.set_trainable("all")
    loss = model.project_image(model.encode_image(torch.rand(2, 3, 32, 32)))[:, 0].sum()
    loss = loss + model.project_gene(model.encode_gene(torch.full((2, 5), 40)))[:, 0].sum()
    loss.backward()
    assert sum(p.grad is not None for p in parameters) > 10


def test_importing_the_room_imports_no_torch():
    import subprocess
    import sys

    program = "import sys, napari_umpire.models as m; dir(m); print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert found.stdout.strip() == "False", found.stderr


def test_all_files_of_a_model_can_be_read_by_the_same_people(folder):
    modes = {p.stat().st_mode for p in folder.iterdir()}
    assert len(modes) == 1, modes
