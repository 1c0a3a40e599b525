from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from napari_umpire.errors import InputError
from napari_umpire.models import (
    ContextConfig,
    DecoderConfig,
    ExpressionDecoder,
    Umpire,
    UmpireConfig,
    load_model_folder,
    save_model,
)

GENES = tuple(f"ENSG{i:011d}" for i in (7, 3, 50, 12))


@pytest.mark.parametrize("hidden", [6, 0], ids=["hidden layer", "linear"])
def test_the_decoder_against_stock_layers(hidden):
    decoder = ExpressionDecoder(DecoderConfig(GENES, hidden), dim=5)
    mean, std = torch.tensor([0.1, 2.0, 0.5, 1.0]), torch.tensor([0.2, 1.0, 3.0, 0.5])
    decoder.set_statistics(mean, std)
    x = torch.randn(40, 5)
    state = decoder.state_dict()

    def linear(x, name):
        layer = nn.Linear(*reversed(state[f"layers.{name}.weight"].shape))
        with torch.no_grad():
            layer.weight.copy_(state[f"layers.{name}.weight"])
            layer.bias.copy_(state[f"layers.{name}.bias"])
        return layer(x)

    z = linear(x, 0)
    if hidden:
        z = linear(nn.GELU()(z), 2)
    wanted = torch.stack([mean[i] + std[i] * z[:, i] for i in range(4)], dim=1)
    torch.testing.assert_close(decoder.standardised(x), z)
    torch.testing.assert_close(decoder(x), torch.relu(wanted))
    assert (wanted < 0).any()


def test_a_decoder_is_of_some_genes_and_names_each_once():
    with pytest.raises(InputError, match="without genes"):
        DecoderConfig(())
    with pytest.raises(InputError, match="a gene twice.*b"):
        DecoderConfig(("a", "b", "b"))
    with pytest.raises(InputError, match="hidden -1"):
        DecoderConfig(("a",), -1)


@pytest.fixture
def with_decoder(tiny_config):
    decoder = DecoderConfig(GENES, 8)
    return replace(tiny_config, decoder=decoder, context=ContextConfig(neighbours=4))


def filled(config):
    model = Umpire(config).eval()
    model.decoder.set_statistics(torch.rand(4), torch.rand(4))
    return model


def test_a_model_with_both_comes_back_as_it_was(with_decoder, vocabulary, tmp_path):
    model = filled(with_decoder)
    folder = save_model(tmp_path / "m", model, vocabulary)
    loaded = load_model_folder(folder).model
    assert loaded.config == model.config
    wide = torch.randn(9, 2 * model.image_dim)  # the features and their neighbours' mean
    assert torch.equal(loaded.decode(wide), model.decode(wide))
    assert torch.equal(loaded.project_image(wide), model.project_image(wide))
    card = (folder / "README.md").read_text()
    assert "| Decoder | 4 genes from the image features, one hidden layer of 8 |" in card


def test_a_model_of_a_decoder_alone_holds_nothing_else(with_decoder, vocabulary, tmp_path):
    alone = replace(with_decoder, decoder=replace(with_decoder.decoder, alone=True))
    model = filled(alone)
    assert {name.split(".")[0] for name in model.state_dict()} == {"visual_backbone", "decoder"}
    folder = save_model(tmp_path / "m", model, vocabulary)
    loaded = load_model_folder(folder).model
    wide = torch.randn(9, 2 * model.image_dim)
    assert torch.equal(loaded.decode(wide), model.decode(wide))
    assert not loaded.config.aligned
    assert "| Gene encoder | none: trained by reconstruction alone |" in (
        folder / "README.md"
    ).read_text()  # fmt: skip


def test_a_model_without_one_has_the_configuration_that_it_always_had(tiny_config):
    text = tiny_config.to_json()
    assert "decoder" not in json.loads(text)
    assert UmpireConfig.from_json(text) == tiny_config
    with pytest.raises(InputError, match="no decoder.*rec.weight"):
        Umpire(tiny_config).decode(torch.randn(2, 16))


def test_genes_that_the_model_does_not_list_are_refused(with_decoder, vocabulary, tmp_path):
    strange = replace(with_decoder, decoder=DecoderConfig(("ENSG00000000007", "X"), 8))
    with pytest.raises(InputError, match=r"gene list lacks.*X"):
        save_model(tmp_path / "m", Umpire(strange), vocabulary)
