from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from napari_umpire.errors import InputError
from napari_umpire.models import ContextConfig, GeneConfig, GeneMLPConfig, Umpire, UmpireConfig
from napari_umpire.models.projection import ProjectionConfig
from napari_umpire.models.vision_config import VisionConfig
from napari_umpire.models.visiumformer import VisiumformerConfig, unused_shapes


@pytest.fixture
def tokens():
    return torch.randint(30, 130, (3, 64)).to(torch.uint16)


@pytest.fixture
def pixels():
    return torch.randint(0, 256, (3, 32, 32, 3), dtype=torch.uint8)


# Table S5 of the paper: 135.76 M and 353.44 M, adapters 0.92 M and 1.05 M trainable.
@pytest.mark.parametrize(
    ("name", "whole", "heads"), [("phikon", 135.757, 0.9185), ("uni", 353.440, 1.0496)]
)
def test_parameter_counts_are_those_of_the_paper(name, whole, heads):
    with torch.device("meta"):
        model = Umpire(UmpireConfig(vision=VisionConfig(name)), pretrained=False)
        adapted = Umpire(UmpireConfig(vision=VisionConfig(name), adapter=True), pretrained=False)
    unused = sum(math.prod(s) for s in unused_shapes(VisiumformerConfig()).values())
    n = sum(p.numel() for p in model.parameters()) + unused
    assert round(n / 1e6, 3) == whole
    trainable = adapted.set_trainable("heads")
    assert round(sum(p.numel() for p in trainable) / 1e6, 4) == heads
    assert {id(p) for p in trainable} == {id(p) for p in adapted.parameters() if p.requires_grad}
    assert len(adapted.set_trainable("all")) == len(list(adapted.parameters()))


def test_keys_are_the_published_ones(tiny_config):
    keys = set(Umpire(replace(tiny_config, adapter=True)).state_dict())
    outer = {k for k in keys if not k.startswith(("spot_backbone.", "visual_backbone."))}
    assert outer == {
        "logit_scale", "spot_projection.weight", "spot_projection.bias",
        "visual_projection.weight", "visual_projection.bias",
        *(f"adapter_{m}.fc.{i}.weight" for m in ("spot", "visual") for i in (0, 2)),
    }  # fmt: skip
    assert "spot_backbone.encoder.layers.0.self_attn.in_proj_weight" in keys
    with torch.device("meta"):
        uni = Umpire(UmpireConfig(vision=VisionConfig("uni")), pretrained=False)
    assert "visual_backbone.blocks.0.ls1.gamma" in uni.state_dict()


def test_embeddings_are_normalised_projections(tiny_config, tokens, pixels):
    model = Umpire(tiny_config).eval()
    gene, image = model.encode_gene(tokens), model.encode_image(pixels)
    assert gene.shape == (3, model.gene_dim) == (3, 32)
    assert image.shape == (3, model.image_dim) == (3, 32)
    for features, embedding, layer in (
        (gene, model.project_gene(gene), model.spot_projection),
        (image, model.project_image(image), model.visual_projection),
    ):
        raw = features @ layer.weight.T + layer.bias
        torch.testing.assert_close(embedding, raw / raw.norm(dim=1, keepdim=True))


def test_adapters_keep_four_fifths(tiny_config, tokens):
    model = Umpire(replace(tiny_config, adapter=True)).eval()
    features = model.encode_gene(tokens)
    x = model.spot_projection(features)
    w1, w2 = model.adapter_spot.fc[0].weight, model.adapter_spot.fc[2].weight
    assert (w1.shape, w2.shape) == ((4, 16), (16, 4))
    expected = 0.8 * x + 0.2 * (((x @ w1.T).clamp(min=0)) @ w2.T).clamp(min=0)
    expected = expected / expected.norm(dim=1, keepdim=True)
    torch.testing.assert_close(model.project_gene(features), expected)


def test_temperature(tiny_config):
    model = Umpire(tiny_config)
    assert model.logit_scale.item() == pytest.approx(2.6593, abs=1e-4)
    assert model.scale.item() == pytest.approx(1 / 0.07, rel=1e-5)
    with torch.no_grad():
        model.logit_scale.fill_(10.0)
    assert model.scale.item() == pytest.approx(math.exp(10), rel=1e-5)  # as published: no limit
    bounded = Umpire(replace(tiny_config, scale_limit=100.0))
    with torch.no_grad():
        bounded.logit_scale.fill_(10.0)
    assert bounded.scale.item() == 100


def test_context_widens_the_projection(tiny_config):
    model = Umpire(replace(tiny_config, context=ContextConfig(neighbours=6)))
    assert model.visual_projection.in_features == 2 * model.image_dim
    assert model.project_image(torch.randn(2, 64)).shape == (2, 16)


def test_a_perceptron_takes_the_place_of_the_gene_encoder(tiny_config):
    mlp = GeneMLPConfig(n_genes=20, hidden=(12,), dim=6)
    model = Umpire(replace(tiny_config, gene=GeneConfig("mlp", mlp=mlp)))
    assert model.project_gene(model.encode_gene(torch.rand(4, 20))).shape == (4, 16)


def test_gene_features_are_standardised_by_stored_statistics(tiny_config, tokens):
    gene = replace(tiny_config.gene, standardise=True)
    model = Umpire(replace(tiny_config, gene=gene)).eval()
    features = torch.randn(5, 32) * 3 + 2
    layer = model.spot_projection
    fresh = torch.nn.functional.normalize(layer(features.clamp(-4, 4)), dim=1)
    torch.testing.assert_close(model.project_gene(features), fresh)
    mean, std = features.mean(dim=0), features.std(dim=0)
    std[3] = 0
    model.set_gene_statistics(mean, std)
    z = ((features - mean) / std).clamp(-4, 4)
    z[:, 3] = 0  # never varied in training
    expected = torch.nn.functional.normalize(layer(z), dim=1)
    torch.testing.assert_close(model.project_gene(features), expected)
    plain = Umpire(tiny_config)
    plain.spot_backbone.load_state_dict(model.spot_backbone.state_dict())
    torch.testing.assert_close(model.encode_gene(tokens), plain.eval().encode_gene(tokens))
    assert set(model.state_dict()) - set(plain.state_dict()) == {"spot_mean", "spot_std"}
    with pytest.raises(InputError, match="does not standardise"):
        plain.set_gene_statistics(mean, std)
    with pytest.raises(InputError, match=r"\(32,\)"):
        model.set_gene_statistics(mean[:3], std)


def test_the_gene_projection_may_have_a_hidden_layer(tiny_config):
    gene = replace(tiny_config.gene, projection=ProjectionConfig(24, 0.5))
    model = Umpire(replace(tiny_config, gene=gene)).eval()
    w = {k: v for k, v in model.state_dict().items() if k.startswith("spot_projection.")}
    features = torch.randn(4, 32)
    h = features @ w["spot_projection.1.weight"].T + w["spot_projection.1.bias"]
    h = h * 0.5 * (1 + torch.erf(h / math.sqrt(2)))
    x = h @ w["spot_projection.4.weight"].T + w["spot_projection.4.bias"]
    torch.testing.assert_close(model.project_gene(features), x / x.norm(dim=1, keepdim=True))
    model.train()
    assert not torch.equal(model.project_gene(features), model.project_gene(features))
    assert sum(p.numel() for p in model.set_trainable("heads")) == (
        32 * 24 + 24 + 24 * 16 + 16 + 32 * 16 + 16
    )


@pytest.mark.parametrize(
    ("settings", "words"),
    [((-1, 0.0), "hidden -1"), ((8, 1.0), "dropout 1.0"), ((0, 0.5), "linear projection")],
)
def test_impossible_projections_are_refused(settings, words):
    with pytest.raises(InputError, match=words):
        ProjectionConfig(*settings)


def test_embeddings_are_float32_under_autocast(tiny_config, tokens):
    model = Umpire(tiny_config).eval()
    exact = model.project_gene(model.encode_gene(tokens))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = model.project_gene(model.encode_gene(tokens))
    assert rounded.dtype == torch.float32
    assert (exact * rounded).sum(dim=1).min() > 0.999


def test_unknown_trainable_set(tiny_config):
    with pytest.raises(InputError, match='"all" or "heads"'):
        Umpire(tiny_config).set_trainable("most")
