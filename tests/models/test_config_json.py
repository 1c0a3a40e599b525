from __future__ import annotations

import json

import pytest

from napari_umpire.errors import InputError
from napari_umpire.models import (
    ContextConfig,
    GeneConfig,
    GeneMLPConfig,
    ProjectionConfig,
    UmpireConfig,
    VisionConfig,
    VisiumformerConfig,
)


def test_a_configuration_survives_json():
    config = UmpireConfig(
        gene=GeneConfig("mlp", mlp=GeneMLPConfig(2, (8, 4), 6, 0.1, ("A", "B"))),
        vision=VisionConfig("uni", mean=(0.1, 0.2, 0.3), kwargs={"depth": 2}),
        context=ContextConfig(8, True),
        scale_limit=100.0,
    )
    assert UmpireConfig.from_json(config.to_json()) == config
    assert UmpireConfig.from_json("{}") == UmpireConfig()


def test_the_settings_for_small_data_survive_json():
    config = UmpireConfig(
        gene=GeneConfig(
            visiumformer=VisiumformerConfig(levels=(0, 1, 2)),
            standardise=True,
            projection=ProjectionConfig(hidden=512, dropout=0.3),
        ),
        vision=VisionConfig("umpire-hybrid", white_balance=True, kwargs={"crop_px": 64}),
    )
    assert UmpireConfig.from_json(config.to_json()) == config
    data = {
        "gene": {
            "visiumformer": {"levels": [0, 1, 2]},
            "standardise": True,
            "projection": {"hidden": 512, "dropout": 0.3},
        },
        "vision": {"name": "umpire-hybrid", "white_balance": True, "kwargs": {"crop_px": 64}},
    }
    assert UmpireConfig.from_data(data) == config


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"visoin": {}}, "Did you mean vision"),
        ({"vision": {"size": 3}}, r"vision has an unknown setting.*size_px"),
        ({"vision": {"size_px": "64"}}, r"vision.size_px has a wrong value.*'64'.*int"),
        ({"vision": {"mean": [1, 2]}}, "list of 3"),
        ({"vision": 3}, "not a table"),
        ({"vision": {"white_balance": 1}}, "vision.white_balance has a wrong value"),
        ({"gene": {"visiumformer": {"levels": 2}}}, "gene.visiumformer.levels.*a list"),
        ({"gene": {"projection": {"dropout": 0.5}}}, "linear projection has no dropout"),
        ({"adapter": 1}, "adapter has a wrong value"),
        ({"dim": True}, "dim has a wrong value"),
        ({"gene": {"kind": "gru"}}, "'visiumformer' or 'mlp' or 'trans'"),
        ({"gene": {"kind": "mlp", "mlp": {}}}, "lacks the setting n_genes"),
        ({"gene": {"kind": "mlp"}}, "needs its settings"),
        ({"tokens": {"length": 2000}}, "longer than the gene encoder"),
    ],
)
def test_what_is_wrong_is_named(data, words):
    with pytest.raises(InputError, match=words):
        UmpireConfig.from_json(json.dumps(data))


def test_broken_json():
    with pytest.raises(InputError, match="config.json cannot be read.*Expected: JSON"):
        UmpireConfig.from_json("{", "config.json")


def test_a_whole_number_may_stand_for_a_float():
    config = UmpireConfig.from_data({"vision": {"field_um": 112}})
    assert isinstance(config.vision.field_um, float)
