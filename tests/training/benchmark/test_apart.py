"""A section that is held out is learned from nowhere else, whatever it is called."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from napari_umpire.errors import InputError, UmpireWarning
from umpire_training.benchmark.apart import require_apart, require_unseen
from umpire_training.cli import main
from umpire_training.corpus.finding import find_sources

from .. import layouts

STEPS = ["--align.trainer.max_steps", "1", "--pretrain.trainer.max_steps", "1"]


def sources(tmp_path, **counts):
    paths = [layouts.write_h5ad(tmp_path / f"{name}.h5ad", c) for name, c in counts.items()]
    return find_sources([], paths)[1]


def test_strangers_are_let_through(tmp_path):
    a, b, c = sources(tmp_path, **{n: layouts.counts_of(i, 60) for i, n in enumerate("abc")})
    require_apart([a, b], [c])


@pytest.mark.parametrize("as_slide", [True, False], ids=["two slides", "slide and counts"])
def test_the_same_counts_under_another_name_are_refused(tmp_path, as_slide):
    counts = layouts.counts_of(0, 60)
    shuffled = counts[np.random.default_rng(0).permutation(60)]
    a, b, twin = sources(tmp_path, a=counts, b=layouts.counts_of(1, 60), twin=shuffled)
    with pytest.raises(InputError, match=r"there twice.*a \(.*\) and twin \(.*\) share 100%"):
        require_apart([a, b, twin] if as_slide else [a, b], [] if as_slide else [twin])


def test_a_part_of_a_slide_is_enough(tmp_path):
    counts = layouts.counts_of(0, 60)
    mixed = np.concatenate([counts[:12], layouts.counts_of(2, 48)])
    a, mix = sources(tmp_path, a=counts, mix=mixed)
    with pytest.raises(InputError, match="share 20%"):
        require_apart([a], [mix])


def test_further_counts_may_repeat_each_other(tmp_path):
    counts = layouts.counts_of(0, 60)
    a, b, twin = sources(tmp_path, a=layouts.counts_of(1, 60), b=counts, twin=counts)
    require_apart([a], [b, twin])


def test_an_evaluation_asks_before_any_work(slide_paths, tmp_path, capsys):
    out = tmp_path / "run"
    words = ["evaluate", "--output", str(out), *STEPS, "--slides", *slide_paths[:2]]
    assert main([*words, "--counts", slide_paths[0]]) == 2
    said = capsys.readouterr().err
    assert "held out and learned from at once" in said
    assert not out.exists()


@pytest.fixture(scope="module")
def seen_encoder(slide_paths, tmp_path_factory):
    """A gene encoder folder that was pre-trained on the first slide, under another name."""
    folder = tmp_path_factory.mktemp("seen")
    twin = folder / "someone_elses"
    shutil.copytree(slide_paths[0], twin)
    prepare = ["prepare", "--make", "tokens", "--counts", str(twin), "--output", str(folder / "c")]
    assert main([*prepare, "--tokens.length", "16", "--vocabulary.max_genes", "60"]) == 0
    shape = ["--encoder.dim", "16", "--encoder.heads", "2", "--encoder.layers", "1"]
    run = ["pretrain", "--corpus", str(folder / "c" / "corpus"), "--output", str(folder / "p")]
    steps = ["--trainer.max_steps", "1", "--encoder.feedforward", "16", "--trainer.batch_size", "8"]
    assert main([*run, *shape, *steps]) == 0
    return folder / "p"


def test_an_encoder_that_has_seen_a_slide_is_refused(seen_encoder, slide_paths):
    slides = find_sources([], slide_paths[:2])[1]
    contents = require_apart(slides, [])
    with pytest.raises(InputError, match=rf"{slides[0].name} \(there called someone_elses\)"):
        require_unseen(str(seen_encoder), slides, contents)
    require_unseen(str(seen_encoder), slides[1:], contents[1:])


def test_an_evaluation_refuses_it_and_writes_nothing(seen_encoder, slide_paths, tmp_path, capsys):
    out = tmp_path / "run"
    words = ["evaluate", "--output", str(out), *STEPS, "--slides", *slide_paths[:2]]
    words += ["--tokens.length", "16"]
    assert main([*words, "--align.gene.pretrained", str(seen_encoder)]) == 2
    assert "pre-trained on what is to be held out" in capsys.readouterr().err
    assert not out.exists()


def test_one_that_does_not_say_what_it_has_seen_is_a_warning(seen_encoder, tmp_path):
    import json

    copy = shutil.copytree(seen_encoder / "encoder", tmp_path / "encoder")
    about = json.loads((copy / "encoder.json").read_text())
    (copy / "encoder.json").write_text(json.dumps({**about, "trained_on_content": []}))
    with pytest.warns(UmpireWarning, match="does not say what it was pre-trained on"):
        require_unseen(str(copy), [], [])
