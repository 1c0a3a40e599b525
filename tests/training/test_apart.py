"""A section that is held out is learned from nowhere else, whatever it is called."""

from __future__ import annotations

import numpy as np
import pytest

from napari_umpire.errors import InputError
from umpire_training.benchmark.apart import require_apart
from umpire_training.cli import main
from umpire_training.corpus.finding import find_sources

from . import layouts


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
    words = ["evaluate", "--output", str(out), "--slides", *slide_paths[:2]]
    assert main([*words, "--counts", slide_paths[0]]) == 2
    said = capsys.readouterr().err
    assert "held out and learned from at once" in said
    assert not out.exists()
