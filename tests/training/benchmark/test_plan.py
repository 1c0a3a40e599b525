"""What an evaluation refuses before any work, and what it holds on to."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_umpire.errors import InputError, UmpireWarning
from umpire_training.benchmark.encoder_checks import check_encoders
from umpire_training.benchmark.leave_out import (
    check_protocol,
    measured_slides,
    plan_folds,
    train_folds,
)
from umpire_training.benchmark.methods import Method, read_methods
from umpire_training.benchmark.places import place_name, require_places
from umpire_training.benchmark.row import check_method
from umpire_training.benchmark.splits import make_splits
from umpire_training.options.evaluation import EvaluationSettings, MethodSettings

SMALL = {"n_genes": [12], "permutations": 0, "device": "cpu"}


@pytest.fixture(scope="module")
def small_slides(tmp_path_factory):
    from napari_umpire.slides.synthetic import make_slides

    folder = tmp_path_factory.mktemp("small")
    return [str(path) for path in make_slides(folder, 3, seed=21, rows=8, cols=5)]


def settings(slides, **more) -> EvaluationSettings:
    options = EvaluationSettings(slides=slides, output="run", **{**SMALL, **more})
    options.patches.size_px = 16
    return options


def row(**flat) -> Method:
    (method,) = read_methods(MethodSettings(), {"a": flat}, [0])
    return method


def test_names_that_differ_in_signs_have_files_of_their_own():
    names = ["A 1", "A_1", "A/1", "A1", "..A1"]
    assert len({place_name(name) for name in names}) == len(names)
    assert place_name("C3-a.b") == "C3-a.b"
    assert "/" not in place_name("A/1")
    require_places(names)
    with pytest.raises(InputError, match="upper and lower case alone.*Got: a1 and A1"):
        require_places(["a1", "B", "A1"])


def test_slides_that_differ_in_signs_share_nothing(small_slides, tmp_path):
    paths = [
        str(shutil.copytree(p, tmp_path / n))
        for p, n in zip(small_slides[:2], ("A 1", "A_1"), strict=True)
    ]
    plan = plan_folds(settings(paths))
    first, second = measured_slides(plan, settings(paths), tmp_path / "run")
    assert (first.name, second.name) == ("A 1", "A_1")
    for a, b in ((first, first), (second, second)):
        alone = plan_folds(settings([small_slides[2], a.source.path]))
        again = measured_slides(alone, settings([]), tmp_path / f"alone {b.name}")[1]
        np.testing.assert_array_equal(a.colour, again.colour)
        np.testing.assert_array_equal(np.load(a.patches), np.load(again.patches))


def change_one_count(slide: str) -> None:
    import h5py

    (path,) = Path(slide).glob("*.h5")
    with h5py.File(path, "r+") as file:
        file["matrix/data"][5] += 1


def test_a_slide_that_was_replaced_is_named_when_the_run_goes_on(small_slides, tmp_path):
    paths = [str(shutil.copytree(p, tmp_path / Path(p).name)) for p in small_slides]
    options, run = settings(paths), tmp_path / "run"
    measured_slides(plan_folds(options), options, run)
    moved = [str(shutil.copytree(p, tmp_path / "moved" / Path(p).name)) for p in paths]
    measured_slides(plan_folds(settings(moved)), options, run)
    change_one_count(paths[1])
    with pytest.raises(InputError, match=rf"slide {Path(paths[1]).name} is not the one"):
        measured_slides(plan_folds(options), options, run)
    with pytest.raises(InputError, match="list of slides"):
        measured_slides(plan_folds(settings(moved[:2])), options, run)
    patients = tmp_path / "patients.csv"
    names = [Path(p).name for p in moved]
    patients.write_text("slide,patient\n" + "".join(f"{n},{n}\n" for n in names))
    with pytest.raises(InputError, match="table of patients is not the one"):
        measured_slides(plan_folds(settings(moved, patients=str(patients))), options, run)


def test_a_slide_with_hardly_a_good_spot_is_refused_by_name(small_slides, tmp_path):
    import h5py

    poor = shutil.copytree(small_slides[2], tmp_path / "poor")
    (path,) = poor.glob("*.h5")
    with h5py.File(path, "r+") as file:
        starts = file["matrix/indptr"][:]
        totals = np.add.reduceat(file["matrix/data"][:], starts[:-1])
        rich = np.argsort(-totals)[:3]
        ones = np.ones_like(file["matrix/data"][:])
        for spot in rich:
            ones[starts[spot]] = 1000
        file["matrix/data"][:] = ones
    options = settings([*small_slides[:2], str(poor)])
    options.qc.min_counts = 700
    with pytest.raises(InputError, match=r"poor has too few good spots.*Got: 3 .*at least 10"):
        plan_folds(options)


def test_genes_are_asked_for_before_any_work(small_slides):
    with pytest.raises(InputError, match=r"Gene ERBBB2 is not measured on all slides.*on none"):
        plan_folds(settings(small_slides, show_genes=["ERBB2", "ERBBB2"]))
    with pytest.raises(InputError, match=r"too few genes to choose sets of 5000.*Set n_genes to"):
        plan_folds(settings(small_slides, n_genes=[12, 5000]))
    options = settings(small_slides)
    for flat in (
        {"align.target.kind": "soft", "align.target.genes": 601},
        {"align.rec.weight": 1, "align.rec.genes": 601},
        {"align.gene.kind": "mlp", "align.gene.panel_genes": 601},
        {"align.rec.weight": 1, "align.rec.genes": 41, "vocabulary.max_genes": 40},
    ):
        option = next(key for key in flat if flat[key] in (601, 41))
        with pytest.raises(InputError, match=rf"{option} is more genes than there are"):
            plan_folds(options, [row(**flat)])
    plan_folds(options, [row(**{"align.rec.weight": 1, "align.rec.genes": None})])


def test_the_most_genes_that_are_allowed_can_be_chosen(small_slides, tmp_path):
    """What the refusal names is the very number at which choosing begins to fail."""
    import re

    from umpire_training.benchmark.leave_out import fold_works

    with pytest.raises(InputError) as refused:
        plan_folds(settings(small_slides, n_genes=[5000]))
    most = int(re.search(r"n_genes to at most (\d+)", str(refused.value))[1])
    options = settings(small_slides, n_genes=[most])
    plan = plan_folds(options)
    works = fold_works(plan, options, measured_slides(plan, options, tmp_path), tmp_path)
    fewest = []
    for work in works:
        work.scored()
        work.options = replace(options, n_genes=[most + 1])
        try:
            work.scored()
        except InputError:
            fewest.append(work.split.name)
    assert fewest


def test_slides_without_a_common_gene_are_told_with_their_species(tmp_path, small_slides):
    mouse = tmp_path / "mouse"
    shutil.copytree(small_slides[2], mouse)
    import h5py

    (path,) = mouse.glob("*.h5")
    with h5py.File(path, "r+") as file:
        features = file["matrix/features"]
        for key in ("id", "name"):
            said = [s.decode() for s in features[key][:]]
            new = [s.replace("ENSG", "ENSMUSG") if key == "id" else s.capitalize() for s in said]
            del features[key]
            features[key] = np.array([s.encode() for s in new])
    with pytest.raises(InputError, match=r"No gene is common.*human.*mouse \(mouse or rat"):
        plan_folds(settings([small_slides[0], str(mouse)]))


def test_a_registration_folder_without_a_table_is_refused(small_slides, tmp_path):
    (tmp_path / "other.csv").write_text("spot,y,x\n")
    with pytest.raises(InputError, match="has a table for none of the slides.*other.csv"):
        plan_folds(settings(small_slides, registration=str(tmp_path)))


def test_more_neighbours_than_references_are_said_once(small_slides, tmp_path, monkeypatch):
    from umpire_training.benchmark import fold

    monkeypatch.setattr(fold, "run_fold", lambda *args, **kwargs: [])
    options = settings(small_slides)
    plan = plan_folds(options)
    n = plan.n_references
    assert 20 <= n < 60
    with pytest.warns(UmpireWarning, match="k is 500, and a fold has only") as said:
        train_folds(plan, options, [row(k=500), row(k=60)], tmp_path)
    assert len(said) == 1
    train_folds(plan, options, [row(k=n), row(k=n + 1, prediction="decoder")], tmp_path)


@pytest.mark.parametrize(("n", "said"), [(-1, "at least 0"), (1, "has no spread")])
def test_permutations_are_none_or_several(n, said):
    with pytest.raises(InputError, match=said):
        check_protocol(settings([], permutations=n))


@pytest.mark.parametrize(
    ("flat", "said"),
    [
        ({"k": 0}, "k must be at least 1"),
        ({"align.dim": 0}, "dim must be at least 1"),
        ({"align.optim.lr": 0.0}, "lr must be above 0"),
        ({"align.gene.dropout": 1.5}, "dropout must be"),
        ({"pretrain.encoder.layers": 0}, "layers must be at least 1"),
        ({"tokens.length": 0}, "length must be at least 1"),
    ],
)
def test_numbers_of_a_row_are_checked_before_any_work(flat, said):
    steps = {"align.trainer.max_steps": 1, "pretrain.trainer.max_steps": 1}
    with pytest.raises(InputError, match=said):
        check_method(row(**steps, **flat).settings)


@pytest.mark.parametrize(
    ("flat", "said"),
    [
        ({"align.vision.name": "umpire-smal"}, "Unknown image encoder"),
        ({"align.vision.kwargs": {"depth": 3}}, "depth"),
        ({"align.vision.weights": "nowhere.pt"}, "nowhere.pt"),
        ({"align.vision.last_blocks": 2}, "vision.last_blocks is for a ViT"),
        ({"align.gene.levels": [13]}, "levels must name"),
        ({"first_stage": False, "align.gene.shape.layers": 2, "align.gene.levels": [-4]}, "levels"),
        ({"align.gene.pretrained": "nowhere"}, "nowhere"),
    ],
)
def test_encoders_are_made_once_before_any_work(flat, said):
    with pytest.raises(InputError, match=said):
        check_encoders(row(**flat).settings, settings([]).patches)


@pytest.mark.parametrize("group", ["align", "pretrain", "finetune"])
def test_a_computer_that_cannot_train_is_told_before_any_work(group):
    flat = {"start": "model"} if group == "finetune" else {}
    method = replace(row().settings, **flat)
    getattr(method, group).trainer.accelerator = "abacus"
    with pytest.raises(InputError, match="cannot be set up on this computer"):
        check_encoders(method, settings([]).patches)


def test_encoders_that_can_be_made_are_let_through(pretrained):
    patches = settings([]).patches
    check_encoders(row().settings, patches)
    known = {"align.gene.pretrained": str(pretrained), "tokens.length": 48}
    check_encoders(row(**known).settings, patches)
    with pytest.raises(InputError, match="reads other tokens"):
        check_encoders(row(**{**known, "tokens.length": 12}).settings, patches)


def test_a_group_of_options_is_no_number():
    with pytest.raises(InputError, match=r"Row 'a': align is a group of options.*Got: 3"):
        read_methods(MethodSettings(), {"a": {"align": 3}}, [0])
    with pytest.raises(InputError, match=r"align\.trainer is a group"):
        read_methods(MethodSettings(), {"a": {"align": {"trainer": None}}}, [0])


def test_folds_of_patients_that_differ_in_signs_are_two():
    splits = make_splits(["a", "b"], "patient", {"a": "P 1", "b": "P_1"})
    assert len({place_name(split.name) for split in splits}) == 2


def test_other_labels_are_refused_when_the_run_goes_on(small_slides, tmp_path):
    from umpire_training.benchmark.tables.rows import Rows
    from umpire_training.benchmark.tables.spaces import Labels

    options = settings(small_slides)
    rows = Rows(options, [], plan_folds(options))

    def start(*codes):
        labels = Labels(("ductal", "other"), {"a": np.array(codes)}, ("#000000", "#ffffff"))
        more = rows.beginning_with("labels", labels.digest, "table of labels")
        measured_slides(more.plan, options, tmp_path / "run")

    start(0, 1, 1)
    start(0, 1, 1)
    with pytest.raises(InputError, match="The table of labels is not the one"):
        start(0, 1, 0)
