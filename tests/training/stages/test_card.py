"""What a trained model says of itself: where its encoders began, and what it was trained with."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from umpire_training.options import (
    AlignSettings,
    ContrastOptions,
    FinetuneSettings,
    GeneOptions,
    VisionOptions,
)
from umpire_training.stages.card import finetune_card, make_card

PAIRS = SimpleNamespace(
    slides=[SimpleNamespace(name="A1"), SimpleNamespace(name="B1")],
    n_spots=1200,
    facts={"qc": {"min_genes": 100}},
)


def card(digest=None, **settings):
    return make_card(PAIRS, AlignSettings(**settings), 0, "Mine.", gene_digest=digest)


def image_row(**vision):
    return card(vision=VisionOptions(**vision))["Image encoder weights"]


def test_encoders_from_scratch_have_seen_nothing_else():
    said = card()
    assert "and nothing else" in said["description"]
    assert said["Image encoder weights"] == "trained from scratch on these slides"
    assert said["Gene encoder weights"] == "trained from scratch on these slides"


@pytest.mark.parametrize(
    ("vision", "origin"),
    [
        ({"name": "phikon"}, "Phikon (owkin/phikon)"),
        ({"name": "uni", "weights": "hub"}, "UNI (MahmoodLab/uni)"),
        ({"name": "uni", "weights": "/home/me/uni.bin"}, "UNI, from the file uni.bin"),
        ({"name": "hf-hub:owner/some-vit"}, "owner/some-vit of the hub"),
        ({"name": "resnet18", "weights": "hub"}, "those that timm knows for resnet18"),
        ({"name": "umpire-small", "weights": "mine/small.safetensors"}, "the file small.safe"),
    ],
)
@pytest.mark.parametrize(("train", "then"), [(True, "trained further"), (False, "frozen")])
def test_an_image_encoder_with_weights_of_others_says_whose(vision, origin, train, then):
    row = image_row(**vision, train=train)
    assert origin in row
    assert then in row
    assert "scratch" not in row
    assert "/home" not in row
    description = card(vision=VisionOptions(**vision, train=train))["description"]
    assert "nothing else" not in description
    assert "its image encoder began with weights of other data" in description


def test_what_no_weights_were_found_for_began_at_nothing():
    assert image_row(name="resnet18") == "trained from scratch on these slides"
    assert image_row(name="umpire-texture", train=False) == "fixed filters, with nothing to learn"
    half = image_row(name="umpire-hybrid")
    assert half == "fixed filters beside a network trained from scratch on these slides"
    assert image_row(name="umpire-small", train=False) == "drawn at random and not trained"


def test_only_the_last_blocks_were_trained_further():
    assert "of the last 4 blocks" in image_row(name="phikon", last_blocks=4)


def test_both_origins_are_named():
    said = card(
        "abc123",
        vision=VisionOptions(name="phikon"),
        gene=GeneOptions(pretrained="/home/me/runs/stage-1", train=False),
    )
    assert "its image and gene encoders began with weights of other data" in said["description"]
    assert said["Gene encoder weights"] == "pre-trained: stage-1, digest abc123; frozen"


def test_a_reconstruction_alone_has_no_gene_encoder():
    said = card(contrast=ContrastOptions(weight=0))
    assert not {"Gene encoder weights", "Contrastive loss", "Contrastive targets"} & set(said)


@pytest.mark.parametrize(
    ("contrast", "loss"),
    [
        ({}, "cross entropy in both directions, weight 1"),
        ({"kind": "one-sided", "weight": 0.5}, "image to gene alone (InfoNCE), weight 0.5"),
        ({"kind": "margin", "margin": 0.8}, "others below 0.8 (Hadsell et al.), weight 1"),
    ],
)
def test_the_contrastive_loss_is_named(contrast, loss):
    options = ContrastOptions(**contrast)
    base = SimpleNamespace(
        path=SimpleNamespace(resolve=lambda: SimpleNamespace(name="b")), digest="d"
    )
    tuned = finetune_card(base, PAIRS, FinetuneSettings(contrast=options), 0, "")
    for said in (card(contrast=options), tuned):
        assert loss in said["Contrastive loss"]
        # A margin has no targets: only pairs and others.
        assert ("Contrastive targets" in said) == (options.kind != "margin")
