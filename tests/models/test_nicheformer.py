from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from napari_umpire.errors import InputError
from napari_umpire.models import GeneConfig, TokensConfig, load_model_folder, save_model
from napari_umpire.models.nicheformer import VISIUM_ASSAY, context_in_words, context_tokens
from napari_umpire.models.rank_checkpoint import read_rank_encoder
from napari_umpire.models.umpire import Umpire, UmpireConfig
from napari_umpire.models.visiumformer import (
    UNUSED_PUBLISHED_KEYS,
    Visiumformer,
    VisiumformerConfig,
    unused_shapes,
)

CONTEXT = context_tokens("human", "10x 3'", "spatial")


def published():
    """Nicheformer's attributes in stock torch parts: width 64, so two heads of 32."""
    module = nn.Module()
    module.embeddings = nn.Embedding(135, 64, padding_idx=1)
    module.positional_embedding = nn.Embedding(50, 64)
    module.encoder_layer = nn.TransformerEncoderLayer(
        64, 2, 96, dropout=0.0, batch_first=True, layer_norm_eps=1e-12
    )
    module.encoder = nn.TransformerEncoder(module.encoder_layer, 3, enable_nested_tensor=False)
    for parameter in module.encoder.parameters():
        nn.init.normal_(parameter, std=0.2)
    module.classifier_head = nn.Linear(64, 130)
    module.pooler_head, module.cls_head = nn.Linear(64, 64), nn.Linear(64, 164)
    return module


def lightning_checkpoint(path, module, prefix=""):
    """As Lightning writes it; the rates that its numpy schedule computed are numpy numbers."""
    rate = np.float64(1e-5)
    checkpoint = {
        "epoch": 3, "global_step": 7, "pytorch-lightning_version": "2.1.0",
        "state_dict": {prefix + k: v for k, v in module.state_dict().items()},
        "optimizer_states": [{"state": {}, "param_groups": [{"lr": rate, "params": [0]}]}],
        "lr_schedulers": [{"_last_lr": [rate], "last_epoch": 7}],
        "hyper_parameters": {"dim_model": 64, "specie": True},
    }  # fmt: skip
    torch.save(checkpoint, path)
    return path


def rows(lengths, width=47, seed=0):
    tokens = torch.from_numpy(np.random.default_rng(seed).integers(30, 130, (len(lengths), width)))
    for row, n in zip(tokens, lengths, strict=True):
        row[n:] = 1
    return tokens


def test_the_context_ids_are_those_of_the_authors():
    assert context_tokens("human", "10x 3'", "spatial") == (5, 15, 4)
    assert context_tokens("Mouse", "merfish", "Dissociated") == (6, 7, 3)
    assert context_tokens("human", VISIUM_ASSAY, "spatial") == CONTEXT
    assert context_in_words((5, 15, 4)) == "human (5), 10x 3' (15), spatial (4)"
    with pytest.raises(InputError, match=r"no token for the assay Visium.*Xenium"):
        context_tokens("human", "Visium", "spatial")
    with pytest.raises(InputError, match="Did you mean human"):
        context_tokens("humann", "Xenium", "spatial")


@pytest.mark.parametrize("lengths", [[47, 47], [47, 20, 2]], ids=["full", "padded"])
def test_features_are_those_of_the_published_model(tmp_path, lengths):
    theirs = published()
    read = read_rank_encoder(
        lightning_checkpoint(tmp_path / "x.ckpt", theirs), context_tokens=CONTEXT
    )
    assert read.module.config.length == 50
    assert sorted(read.unused) == sorted(UNUSED_PUBLISHED_KEYS)
    assert read.left_out == ()
    tokens = rows(lengths)
    # As they prepare it: three tokens before the genes, then cut to the number of positions.
    longer = torch.cat([tokens, torch.full((len(tokens), 9), 1)], dim=1)
    whole = torch.cat([torch.tensor([CONTEXT]).expand(len(tokens), 3), longer], dim=1)[:, :50]
    x = theirs.embeddings(whole) + theirs.positional_embedding.weight
    for layer in theirs.encoder.layers:
        x = layer(x, src_key_padding_mask=whole == 1)
    expected = x[:, 3:].mean(dim=1)
    torch.testing.assert_close(read.module.encode(tokens), expected, atol=2e-5, rtol=1e-5)

    masked = Visiumformer(replace(read.module.config, pooling="masked_mean"))
    masked.load_state_dict(read.module.state_dict())
    mean = torch.stack([x[i, 3 : 3 + n].mean(dim=0) for i, n in enumerate(lengths)])
    torch.testing.assert_close(masked.encode(tokens), mean, atol=2e-5, rtol=1e-5)
    hidden = masked.hidden(tokens)  # at the genes only, so that masked training may select them
    is_gene = tokens != 1
    torch.testing.assert_close(hidden[is_gene], x[:, 3:][is_gene], atol=2e-5, rtol=1e-5)


def test_the_context_changes_what_comes_out(tmp_path):
    path = lightning_checkpoint(tmp_path / "x.ckpt", published())
    tokens = rows([47, 9])
    one = read_rank_encoder(path, context_tokens=CONTEXT).module.encode(tokens)
    other = read_rank_encoder(path, context_tokens=(5, 9, 4)).module.encode(tokens)
    assert not torch.allclose(one, other, atol=1e-3)


@pytest.mark.parametrize("prefix", ["", "model.", "backbone.", "spot_backbone."])
@pytest.mark.parametrize("form", ["lightning", "safetensors", "pickle"])
def test_every_container_and_prefix_is_read(tmp_path, prefix, form):
    import pickle

    from safetensors.torch import save_file

    theirs = published()
    path = tmp_path / "weights"
    state = {prefix + k: v.clone() for k, v in theirs.state_dict().items()}
    state["elsewhere.weight"] = torch.zeros(2)
    state[prefix + "extra"] = torch.zeros(1)
    if form == "safetensors":
        save_file(state, path)
    elif form == "pickle":
        path.write_bytes(pickle.dumps(state))
    else:
        torch.save({"state_dict": state, "lr": np.float64(1)}, path)
    read = read_rank_encoder(path)
    assert read.module.config.context_tokens == ()
    assert read.left_out == tuple(sorted(["elsewhere.weight", prefix + "extra"]))
    torch.testing.assert_close(read.module.embeddings.weight, theirs.embeddings.weight)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.pop("encoder.layers.1.norm2.bias"), r"layers\.1\.norm2\.bias is missing"),
        (lambda s: s.update({"embeddings.weight": torch.ones(131, 64)}), r"\(131, 64\)"),
        (lambda s: s.pop("positional_embedding.weight"), "no positional_embedding.weight"),
        (lambda s: s.pop("embeddings.weight"), "not a checkpoint of a Nicheformer"),
        (
            lambda s: s.update({f"b.{k}": v for k, v in s.items()}),
            "2 encoders",
        ),
    ],
)
def test_what_is_not_whole_is_refused(tmp_path, change, words):
    module = nn.Module()
    state = dict(published().state_dict())
    change(state)
    module.state_dict = lambda: state
    path = lightning_checkpoint(tmp_path / "x.ckpt", module)
    with pytest.raises(InputError, match=words):
        read_rank_encoder(path)


def test_an_object_in_a_checkpoint_is_still_refused(tmp_path):
    torch.save({"state_dict": published().state_dict(), "made_by": Path}, tmp_path / "x.ckpt")
    with pytest.raises(InputError, match="Python objects besides tensors"):
        read_rank_encoder(tmp_path / "x.ckpt")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"context_tokens": (5, 30, 4)}, "ids from 3 to 29"),
        ({"context_tokens": (5, 1, 4)}, "ids from 3 to 29"),
        ({"context_tokens": (5, 15), "pooling": "published"}, "2 context tokens"),
        ({"context_tokens": (5, 15, 4), "length": 3}, "no place for genes"),
    ],
)
def test_impossible_contexts_are_refused(tiny_former, more, words):
    with pytest.raises(InputError, match=words):
        replace(tiny_former, **more)


def test_tokens_and_positions_must_fit(tiny_former):
    former = replace(tiny_former, context_tokens=CONTEXT)  # 64 positions
    with pytest.raises(InputError, match="at most 61"):
        Visiumformer(former).encode(rows([62], width=62))
    with pytest.raises(InputError, match=r"at most 61.*3 context tokens"):
        UmpireConfig(gene=GeneConfig(visiumformer=former), tokens=TokensConfig(length=64))
    averaged = GeneConfig(visiumformer=replace(former, pooling="published"))
    with pytest.raises(InputError, match=r"full length.*Got: tokens.length 50.*Expected: 61"):
        UmpireConfig(gene=averaged, tokens=TokensConfig(length=50))
    UmpireConfig(gene=averaged, tokens=TokensConfig(length=61))


def test_an_empty_spot_is_zero_with_a_context_too(tiny_former):
    for pooling in ("masked_mean", "published"):
        config = replace(tiny_former, context_tokens=CONTEXT, pooling=pooling)
        features = Visiumformer(config).encode(rows([0, 61], width=61))
        assert not features[0].any()
        assert features[1].all()


def test_masked_training_selects_genes_and_never_the_context(tiny_former):
    from napari_umpire.models.masking import mask_tokens

    model = Visiumformer(replace(tiny_former, context_tokens=CONTEXT))
    tokens = rows([61, 20], width=61)
    loss = model.mlm_loss(tokens, torch.Generator().manual_seed(1))
    masked = mask_tokens(tokens, 130, generator=torch.Generator().manual_seed(1))
    context = torch.tensor([CONTEXT]).expand(2, 3)
    x = model.embeddings(torch.cat([context, masked.tokens], dim=1))
    x = x + model.positional_embedding.weight
    oracle = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(32, 4, 48, dropout=0.0, batch_first=True, layer_norm_eps=1e-12),
        2,
        enable_nested_tensor=False,
    )
    oracle.load_state_dict(model.encoder.state_dict())
    pad = torch.cat([context == 1, masked.tokens == 1], dim=1)
    logits = model.classifier_head(oracle(x, src_key_padding_mask=pad)[:, 3:])
    expected = nn.functional.cross_entropy(logits[masked.selected], masked.labels)
    torch.testing.assert_close(loss, expected)


def test_its_size_is_that_of_visiumformer():
    # "The same parameter total": 49,302,040 with the parts that are never used (Table S5).
    config = VisiumformerConfig(context_tokens=CONTEXT)
    with torch.device("meta"):
        model = Visiumformer(config)
    unused = sum(torch.Size(shape).numel() for shape in unused_shapes(config).values())
    assert sum(p.numel() for p in model.parameters()) + unused == 49_302_040
    assert (config.n_context_tokens, config.n_ranks) == (3, 1497)


def test_a_model_folder_keeps_the_context(tmp_path, tiny_config, tiny_former, vocabulary):
    former = replace(tiny_former, context_tokens=CONTEXT)
    config = replace(
        tiny_config, gene=GeneConfig(visiumformer=former), tokens=TokensConfig(length=61)
    )
    model = Umpire(config).eval()
    save_model(tmp_path / "m", model, vocabulary)
    loaded = load_model_folder(tmp_path / "m")
    assert loaded.config.gene.visiumformer.context_tokens == CONTEXT
    tokens = rows([61, 30], width=61)
    torch.testing.assert_close(loaded.model.encode_gene(tokens), model.encode_gene(tokens))
    card = (tmp_path / "m" / "README.md").read_text()
    assert "Nicheformer, 2 layers of width 32, up to 61 genes" in card
    assert "human (5), 10x 3' (15), spatial (4)" in card
    assert '"context_tokens"' not in tiny_config.to_json()  # other models: as before
