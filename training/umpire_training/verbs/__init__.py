"""What `umpire-train` can do: a verb is a module with `Options` (a dataclass) and `run`."""

from __future__ import annotations

VERBS = {
    "convert": "turn any readable slide into a SpatialData store that can be dropped into napari",
    "prepare": "make a token corpus and a paired set from slides, counts and h5ad files",
    "pretrain": "pre-train a gene encoder on a token corpus by masked-token prediction",
    "align": "align an image encoder and a gene encoder on a paired set; writes a model folder",
    "finetune": "train an aligned model further on a paired set, in full or by adapters",
    "import": "turn a published checkpoint into a model folder, or a gene encoder to align",
    "reference": "build the reference database inside a model folder from measured slides",
    "predict": "predict gene maps of slides with a model and write them into their stores",
    "probe": "test a linear probe of spot labels on frozen features, beside controls",
    "mil": "train a slide-status head (ABMIL) for a model, validated by patient",
    "evaluate": "leave one section out: train, predict and score each slide, beside control rows",
    "benchmark": "make a table or figure of the paper: several methods, each beside the controls",
    "doctor": "check this computer, a model, a slide: PASS, WARN, FAIL and how to mend",
}
"""Verb -> what it does, in the order in which the verbs follow each other."""

__all__ = ["VERBS"]
