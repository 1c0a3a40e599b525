from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from napari_umpire.errors import InputError
from napari_umpire.genes.tokens import PAD_ID
from napari_umpire.models.masking import mask_tokens
from napari_umpire.models.visiumformer import (
    UNUSED_PUBLISHED_KEYS,
    Visiumformer,
    VisiumformerConfig,
    unused_shapes,
)


def rows(lengths, width=64, seed=0):
    """Token rows with the given numbers of genes, padded with 1."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(30, 130, (len(lengths), width), generator=generator)
    for row, n in zip(tokens, lengths, strict=True):
        row[n:] = PAD_ID
    return tokens


def torch_encoder(config):
    """Torch's own stock encoder, the one the published model is made of."""
    layer = nn.TransformerEncoderLayer(
        config.dim, config.heads, config.feedforward, dropout=0.0, batch_first=True,
        norm_first=False, layer_norm_eps=1e-12,
    )  # fmt: skip
    return nn.TransformerEncoder(layer, config.layers, enable_nested_tensor=False)


@pytest.fixture
def model(tiny_former):
    return Visiumformer(tiny_former)


@pytest.mark.parametrize("lengths", [[64, 64, 64], [64, 40, 3]], ids=["full", "padded"])
@pytest.mark.parametrize("training", [True, False])
def test_hidden_states_are_those_of_torchs_encoder(model, tiny_former, lengths, training):
    oracle = torch_encoder(tiny_former)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    oracle.load_state_dict(model.encoder.state_dict())  # strict: the names are torch's
    oracle.train(training)
    tokens = rows(lengths)
    pad = tokens == PAD_ID
    x = model.embeddings.weight[tokens] + model.positional_embedding.weight
    with torch.set_grad_enabled(training):
        expected = oracle(x, src_key_padding_mask=pad if bool(pad.any()) else None)
        got = model.hidden(tokens)
    torch.testing.assert_close(got[~pad], expected[~pad], atol=1e-5, rtol=1e-5)
    if training:  # in eval mode torch clears the padding positions, which the model never did
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


def test_an_inner_layer_can_be_asked_for(model, tiny_former):
    tokens = rows([64, 10])
    cut = torch_encoder(replace(tiny_former, layers=1))
    cut.layers[0].load_state_dict(model.encoder.layers[0].state_dict())
    x = model.embed(tokens)
    expected = cut(x, src_key_padding_mask=tokens == PAD_ID)
    torch.testing.assert_close(model.hidden(tokens, level=1), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(model.hidden(tokens, level=-2), expected, atol=1e-5, rtol=1e-5)


def test_levels_are_pooled_and_concatenated(tiny_former):
    model = Visiumformer(replace(tiny_former, levels=(0, 1, 2))).eval()
    assert (model.dim, model.config.dim) == (96, 32)
    tokens = rows([50, 7, 20])
    got = model.encode(tokens)
    parts = [model.embed(tokens), model.hidden(tokens, level=1), model.hidden(tokens)]
    for i, n in enumerate([50, 7, 20]):
        expected = torch.cat([part[i, :n].mean(dim=0) for part in parts])
        torch.testing.assert_close(got[i], expected, atol=1e-5, rtol=1e-5)
    one = Visiumformer(replace(tiny_former, levels=(1,)))
    one.load_state_dict(model.state_dict())
    torch.testing.assert_close(one.encode(tokens), got[:, 32:64])
    turned = Visiumformer(replace(tiny_former, levels=[-1, -3]))
    turned.load_state_dict(model.state_dict())
    torch.testing.assert_close(turned.eval().encode(tokens), got[:, [*range(64, 96), *range(32)]])


def test_a_spot_without_genes_is_zero_at_every_level(tiny_former):
    model = Visiumformer(replace(tiny_former, levels=(0, -1)))
    got = model.encode(rows([0, 5]))
    assert not got[0].any()
    assert got[1].all()


def test_published_pooling_of_levels(tiny_former):
    model = Visiumformer(replace(tiny_former, pooling="published", levels=(1, 2)))
    tokens = rows([64, 12])
    expected = [model.hidden(tokens, level=i)[:, 3:].mean(dim=1) for i in (1, 2)]
    torch.testing.assert_close(model.encode(tokens), torch.cat(expected, dim=1))


def test_the_published_size_has_the_published_number_of_parameters():
    # 49,302,040: dumped from the running original (Table S5's 49.302 M), never-used parts included
    config = VisiumformerConfig()
    with torch.device("meta"):
        model = Visiumformer(config)
    unused = sum(torch.Size(shape).numel() for shape in unused_shapes(config).values())
    assert sum(p.numel() for p in model.parameters()) + unused == 49_302_040
    shapes = {k: tuple(v.shape) for k, v in model.state_dict().items()}
    assert shapes["embeddings.weight"] == (20345, 512)
    assert shapes["positional_embedding.weight"] == (1500, 512)
    assert shapes["encoder.layers.11.self_attn.in_proj_weight"] == (1536, 512)
    assert shapes["classifier_head.weight"] == (20340, 512)
    assert shapes["classifier_head.bias"] == (20340,)
    assert len(shapes) == 4 + 12 * 12


def published_module(config):
    """A module with the attributes of the published one, in stock torch parts."""
    module = nn.Module()
    module.embeddings = nn.Embedding(config.n_tokens + 5, config.dim, padding_idx=1)
    module.positional_embedding = nn.Embedding(config.length, config.dim)
    module.encoder_layer = nn.TransformerEncoderLayer(
        config.dim, config.heads, config.feedforward, batch_first=True
    )
    module.encoder = nn.TransformerEncoder(
        module.encoder_layer, config.layers, enable_nested_tensor=False
    )
    module.classifier_head = nn.Linear(config.dim, config.n_tokens)
    module.pooler_head = nn.Linear(config.dim, config.dim)
    module.cls_head = nn.Linear(config.dim, 164)
    return module


def test_a_published_state_dict_loads_strictly_and_goes_back(model, tiny_former):
    published = published_module(tiny_former).state_dict()
    model.load_state_dict(published, strict=True)
    torch.testing.assert_close(
        model.encoder.layers[1].linear1.weight, published["encoder.layers.1.linear1.weight"]
    )
    back = model.published_state()
    published_module(tiny_former).load_state_dict(back, strict=True)
    assert set(back) == set(published)
    for key, tensor in published.items():
        expected = torch.zeros_like(tensor) if key in UNUSED_PUBLISHED_KEYS else tensor
        torch.testing.assert_close(back[key], expected)


def test_a_strange_key_is_still_refused(model, tiny_former):
    state = published_module(tiny_former).state_dict() | {"surprise": torch.zeros(1)}
    with pytest.raises(RuntimeError, match="surprise"):
        model.load_state_dict(state)


def test_initialisation(tiny_former):
    model = Visiumformer(replace(tiny_former, dim=256, feedforward=512))
    block = model.encoder.layers[1]
    # Xavier normal: std = sqrt(2 / (fan_in + fan_out))
    assert block.linear1.weight.std().item() == pytest.approx((2 / (256 + 512)) ** 0.5, rel=0.03)
    # Xavier uniform over the stacked (768, 256) matrix
    assert block.self_attn.in_proj_weight.abs().max() <= (6 / (256 + 768)) ** 0.5
    first = model.encoder.layers[0].self_attn.in_proj_weight
    assert torch.equal(first, block.self_attn.in_proj_weight)
    assert first is not block.self_attn.in_proj_weight
    assert not torch.equal(model.encoder.layers[0].linear1.weight, block.linear1.weight)
    assert not block.linear1.bias.any()
    assert not model.embeddings.weight[PAD_ID].any()
    assert model.embeddings.weight.std().item() == pytest.approx(1, rel=0.02)


def test_masked_mean_is_the_mean_over_the_tokens(model):
    tokens = rows([50, 7, 1])
    hidden = model.hidden(tokens)
    expected = torch.stack([hidden[i, :n].mean(dim=0) for i, n in enumerate([50, 7, 1])])
    torch.testing.assert_close(model.encode(tokens), expected)


def test_padding_changes_nothing(model):
    model.eval()
    mixed = rows([50, 7, 20])
    together = model.encode(mixed)
    for i, n in enumerate([50, 7, 20]):
        alone = model.encode(mixed[i : i + 1, :n])
        torch.testing.assert_close(alone[0], together[i], atol=1e-5, rtol=1e-5)


def test_published_pooling_counts_padding_and_skips_three(tiny_former):
    model = Visiumformer(replace(tiny_former, pooling="published"))
    tokens = rows([64, 12])
    torch.testing.assert_close(model.encode(tokens), model.hidden(tokens)[:, 3:].mean(dim=1))
    with pytest.raises(InputError, match="full length"):
        model.encode(tokens[:, :40])


@pytest.mark.parametrize("pooling", ["masked_mean", "published"])
def test_an_empty_spot_gives_zeros_and_harms_no_other(tiny_former, pooling):
    model = Visiumformer(replace(tiny_former, pooling=pooling))
    tokens = rows([64, 0, 12])
    features = model.encode(tokens)
    assert not features[1].any()
    torch.testing.assert_close(features[[0, 2]], model.encode(tokens[[0, 2]]))
    features.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    assert not model.encode(rows([0, 0])).any()


def test_tokens_may_be_of_any_integer_type(model):
    tokens = rows([64, 30])
    expected = model.encode(tokens)
    for dtype in (torch.uint16, torch.int32):
        torch.testing.assert_close(model.encode(tokens.to(dtype)), expected)


def test_longer_rows_than_positions_are_refused(model):
    with pytest.raises(InputError, match="at most 64"):
        model.encode(rows([65], width=65))


def test_autocast_drifts_little(model):
    model.eval()
    tokens = rows([64, 50, 20, 0])
    exact = model.encode(tokens)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = model.encode(tokens)
    assert F.cosine_similarity(exact[:3], rounded[:3].float()).min() > 0.999
    assert not rounded[3].any()


def test_the_loss_is_that_of_the_head_on_all_positions(model):
    tokens = rows([64, 33, 0])
    loss = model.mlm_loss(tokens, torch.Generator().manual_seed(3))
    masked = mask_tokens(tokens, 130, generator=torch.Generator().manual_seed(3))
    logits = model.classifier_head(model.hidden(masked.tokens))
    target = torch.where(masked.selected, tokens, -100)
    expected = F.cross_entropy(logits.transpose(1, 2), target, ignore_index=-100)
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("case", ["nothing selected", "empty rows"])
def test_a_batch_without_a_selected_token_costs_nothing(model, case):
    tokens = rows([0, 0]) if case == "empty rows" else rows([64, 10])
    loss = model.mlm_loss(tokens, p=0.15 if case == "empty rows" else 0.0)
    assert loss.item() == 0
    loss.backward()
    # every parameter takes part, which distributed training insists on
    assert all(p.grad is not None and not p.grad.any() for p in model.parameters())


def test_training_learns_a_rule():
    torch.manual_seed(1)
    config = VisiumformerConfig(32, 4, 64, 2, n_tokens=60, length=16)
    model = Visiumformer(config)
    generator = torch.Generator().manual_seed(0)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    # All tokens of a row are equal, so a hidden one can be read off the others.
    losses = []
    for _ in range(150):
        tokens = torch.randint(30, 60, (32, 1), generator=generator).expand(32, 16)
        loss = model.mlm_loss(tokens, generator)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 < 3 < losses[0]


def test_impossible_shapes_are_refused():
    with pytest.raises(InputError, match="heads"):
        VisiumformerConfig(dim=30, heads=4)
    for levels in ((), (3,), (0, -4)):
        with pytest.raises(InputError, match=r"levels.*one or more of 0 to 2"):
            VisiumformerConfig(layers=2, levels=levels)


@pytest.mark.parametrize("pooling", ["masked_mean", "published"])
def test_features_in_bfloat16_point_where_those_in_float32_do(pooling):
    # Twelve blocks, as the published model has: rounding adds up with depth.
    torch.manual_seed(0)
    config = VisiumformerConfig(
        dim=64, heads=4, feedforward=128, layers=12, n_tokens=130, length=64, pooling=pooling
    )
    model = Visiumformer(config).eval()
    for parameter in model.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.1)
    tokens = rows([64, 50, 33, 12, 5])
    with torch.inference_mode():
        exact = model.encode(tokens)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = model.encode(tokens).float()
    assert not torch.equal(rounded, exact)
    assert float(F.cosine_similarity(rounded, exact).min()) > 0.999
    # Spots differ by more than rounding does.
    others = F.cosine_similarity(exact[:1], exact[1:])
    assert float(others.max()) < 0.999
