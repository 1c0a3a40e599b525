from __future__ import annotations

import pytest
import torch
from torch import nn

from napari_umpire.errors import InputError
from napari_umpire.models import GeneConfig, load_model_folder, save_model
from napari_umpire.models.umpire import Umpire
from napari_umpire.models.value_transformer import ValueTransformer, ValueTransformerConfig

TINY = {"dim": 32, "heads": 4, "feedforward": 48, "layers": 2}


@pytest.fixture
def model():
    return ValueTransformer(ValueTransformerConfig(20, **TINY)).eval()


def torch_encoder(config):
    """Torch's stock post-norm layers, of which the published Visiumformer is made."""
    layer = nn.TransformerEncoderLayer(
        config.dim, config.heads, config.feedforward, dropout=0.0, batch_first=True,
        layer_norm_eps=1e-12,
    )  # fmt: skip
    return nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)


def test_features_are_those_of_torchs_encoder_on_values_times_gene_vectors(model):
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    oracle = torch_encoder(model.config)
    oracle.load_state_dict(model.encoder.state_dict())  # strict: the names are torch's
    x = torch.rand(3, 20) * 5
    per_gene = [
        model.gene_embedding[g] + x[:, g : g + 1] @ model.value_embedding[g : g + 1]
        for g in range(20)
    ]
    expected = oracle(torch.stack(per_gene, dim=1)).mean(dim=1)
    torch.testing.assert_close(model.encode(x), expected, atol=2e-5, rtol=1e-5)


def test_the_blocks_are_those_of_the_published_visiumformer():
    # Appendix B.1: identical blocks; 12 x 2,102,784 parameters of the paper's 49.302 M.
    with torch.device("meta"):
        model = ValueTransformer(ValueTransformerConfig(1500))
        blocks = sum(p.numel() for p in torch_encoder(model.config).parameters())
    assert blocks == sum(p.numel() for p in model.encoder.parameters()) == 12 * 2_102_784
    assert sum(p.numel() for p in model.parameters()) == blocks + 2 * 1500 * 512


def test_each_gene_counts_and_is_told_from_the_others(model):
    x = torch.rand(1, 20)
    swapped = x.clone()
    swapped[0, [3, 11]] = x[0, [11, 3]]
    assert not torch.allclose(model.encode(x), model.encode(swapped), atol=1e-4)
    x.requires_grad_()
    model.encode(x).pow(2).sum().backward()
    assert (x.grad.abs() > 0).all()


def test_it_can_learn_from_a_single_gene():
    torch.manual_seed(0)
    model = ValueTransformer(ValueTransformerConfig(12, **TINY))
    head = nn.Linear(32, 1)
    optimiser = torch.optim.AdamW([*model.parameters(), *head.parameters()], lr=3e-3)
    losses = []
    for _ in range(150):
        x = torch.rand(64, 12) * 4
        loss = (head(model.encode(x))[:, 0] - x[:, 7]).pow(2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 < 1 < losses[0]  # the variance of the gene is 16 / 12


def test_the_mean_travels_with_the_weights(model):
    model.set_statistics(torch.arange(20.0), torch.ones(20))
    other = ValueTransformer(model.config)
    other.load_state_dict(model.state_dict())
    assert other.mean.tolist() == list(range(20))


def test_what_does_not_fit_is_refused(model):
    with pytest.raises(InputError, match=r"\(spots, 20\)"):
        model.encode(torch.zeros(2, 4))
    with pytest.raises(InputError, match="2 gene ids"):
        ValueTransformerConfig(n_genes=3, panel=("A", "B"))
    with pytest.raises(InputError, match="heads"):
        ValueTransformerConfig(n_genes=3, dim=30, heads=4)
    with pytest.raises(InputError, match=r"gene.trans with n_genes"):
        GeneConfig("trans")


def test_a_model_folder_keeps_it(tmp_path, tiny_config, vocabulary):
    from dataclasses import replace

    def umpire(panel):
        trans = ValueTransformerConfig(2, **TINY, panel=panel)
        return Umpire(replace(tiny_config, gene=GeneConfig("trans", trans=trans))).eval()

    panel = (str(vocabulary.ids[3]), str(vocabulary.ids[0]))
    model = umpire(panel)
    save_model(tmp_path / "m", model, vocabulary)
    loaded = load_model_folder(tmp_path / "m")
    assert loaded.config == model.config
    assert loaded.config.gene.trans.panel == panel
    x = torch.rand(3, 2)
    torch.testing.assert_close(
        loaded.model.project_gene(loaded.model.encode_gene(x)),
        model.project_gene(model.encode_gene(x)),
    )
    card = (tmp_path / "m" / "README.md").read_text()
    assert "transformer, 2 layers of width 32, on the log expression of 2 genes" in card
    with pytest.raises(InputError, match="gene list lacks"):
        save_model(tmp_path / "n", umpire((panel[0], "ENSG9")), vocabulary)
    with pytest.raises(InputError, match=r"Fill in gene.trans.panel"):
        save_model(tmp_path / "n", umpire(()), vocabulary)


def test_models_of_other_kinds_are_written_as_before(tiny_config):
    assert '"trans"' not in tiny_config.to_json()
