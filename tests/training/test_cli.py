from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from napari_umpire.errors import InputError
from umpire_training import cli
from umpire_training.verbs import VERBS, pretrain

EXE = Path(sys.executable).parent / "umpire-train"
REQUIRED = {
    "convert": ["a", "--output", "o"],
    "prepare": ["--output", "o"],
    "pretrain": ["--corpus", "c", "--output", "o"],
    "align": ["--pairs", "p", "--output", "o"],
    "reference": ["a", "--model", "m"],
    "predict": ["a", "--model", "m"],
    "evaluate": ["a", "b", "--output", "o"],
}


def shell(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(EXE), *argv], capture_output=True, text=True, check=False)


def test_overview_names_every_verb(capsys):
    assert cli.main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"  {verb} " in out for verb in VERBS)


def test_no_verb_is_an_error():
    assert cli.main([]) == 2


@pytest.mark.parametrize("verb", list(VERBS))
def test_help_of_a_verb_needs_nothing_heavy(verb):
    code = (
        "import sys\nfrom umpire_training.cli import main\n"
        f"try: main(['{verb}', '--help'])\nexcept SystemExit as stop: assert stop.code == 0\n"
        "bad = {'torch', 'lightning', 'spatialdata', 'sklearn', 'PyQt6', 'qtpy', 'napari'}\n"
        "assert not bad & set(sys.modules), bad & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"usage: umpire-train {verb}" in done.stdout


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["pretrian"], "Did you mean 'pretrain'"),
        (["align", "--optim.lrr", "1"], "Did you mean 'optim.lr'"),
        (["align", "--optimm.lr", "1"], "Did you mean 'optim.lr'"),
        (["align", "--warmup_step", "1"], "Did you mean 'optim.warmup_steps'"),
        (["predict", "--models", "m"], "Did you mean 'model'"),
        (["pretrain", "--output", "o"], "corpus"),
        (["pretrain", "--corpus", "c", "--output", "o", "--optim.lr", "fast"], "optim.lr"),
        (["pretrain", "--corpus", "c", "--output", "o", "--mask.scheme", "odd"], "mask.scheme"),
        (
            ["predict", "a", "--model", "m", "--k", "many"],
            "--k cannot take this value. Got: many. Expected: a whole number.",
        ),
        (
            ["predict", "a", "--model", "m", "--mpp", "nan"],
            "--mpp cannot take this value. Got: nan. Expected: a number or null.",
        ),
        (
            ["predict", "a", "--model", "m", "--weighting", "odd"],
            "--weighting cannot take this value. Got: odd. Expected: softmax or similarity.",
        ),
        (["pretrain", "stray", "--corpus", "c"], "unexpected argument 'stray'"),
        (["pretrain", "--corpus"], "--corpus has no value"),
        (["pretrain", "--config", "nowhere.yaml"], "no config file 'nowhere.yaml'"),
    ],
)
def test_a_wrong_command_line_is_one_sentence(argv, said, capsys):
    assert cli.main(argv) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.startswith("umpire-train: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("optim: {lrr: 1}", "Did you mean 'optim.lr'"),
        ("optmi: {lr: 1}", "Did you mean 'optim'"),
        ("- a list", "no options"),
        ("a: [", "not a YAML file"),
        ("pretrain: {seed: 1}\noptim: {lr: 1}", "mixes sections"),
    ],
)
def test_a_wrong_config_file_is_one_sentence(text, said, tmp_path, capsys):
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    argv = ["pretrain", "--config", str(path), "--corpus", "c", "--output", "o"]
    assert cli.main(argv) == 2
    assert said in capsys.readouterr().err


def test_the_command_line_overrides_the_file_and_later_files_earlier_ones(tmp_path):
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text("optim: {lr: 1.0e-2, min_lr: 1.0e-7}\nseed: 3\ncorpus: '0012'\n")
    second.write_text("pretrain: {seed: 4}\nalign: {whatever: 1}\n")
    argv = ["--optim.lr=0.5", "--config", str(first), "--config", str(second), "--output", "o"]
    options = cli.parse("pretrain", argv)
    assert isinstance(options, pretrain.Options)
    assert (options.optim.lr, options.optim.min_lr, options.seed) == (0.5, 1e-7, 4)
    assert options.corpus == "0012"
    assert options.resume is False


def test_lists_flags_and_bare_slides():
    options = cli.parse(
        "evaluate", ["s1", "s 2", "--folds", "C2", "C3", "--resume", "--output", "o"]
    )
    assert options.slides == ["s1", "s 2"]
    assert options.folds == ["C2", "C3"]
    assert options.resume is True
    listed = cli.parse("evaluate", ["--slides", "[x, y]", "--output", "o", "--resume", "false"])
    assert (listed.slides, listed.resume) == (["x", "y"], False)


def test_free_arguments_of_an_encoder_stay_typed():
    given = ["--pairs", "p", "--output", "o", "--vision.kwargs", "{widths: [4, 8], norm: group}"]
    assert cli.parse("align", given).vision.kwargs == {"widths": [4, 8], "norm": "group"}


@pytest.mark.parametrize(
    ("recipe", "verb"),
    [
        ("visiumformer", "pretrain"),
        ("align", "align"),
        ("synthetic-small", "prepare"),
        ("synthetic-small", "pretrain"),
        ("synthetic-small", "align"),
        ("her2st-small", "evaluate"),
    ],
)
def test_recipes_are_valid(recipe, verb):
    assert (cli.RECIPES / f"{recipe}.yaml").is_file()
    cli.parse(verb, ["--config", recipe, *REQUIRED[verb]])


def test_recipes_of_the_paper_hold_its_tables():
    s3 = cli.parse("pretrain", ["--config", "visiumformer", *REQUIRED["pretrain"]])
    encoder = (s3.encoder.dim, s3.encoder.heads, s3.encoder.feedforward, s3.encoder.layers)
    assert encoder == (512, 16, 1024, 12)
    assert (s3.optim.lr, s3.optim.min_lr, s3.optim.weight_decay) == (1e-4, 1e-5, 0.1)
    assert (s3.optim.warmup_steps, s3.trainer.max_steps) == (20_000, 1_000_000)
    assert s3.mask.probability == 0.15
    s4 = cli.parse("align", ["--config", "align", *REQUIRED["align"]])
    assert (s4.optim.lr, s4.optim.min_lr, s4.optim.weight_decay) == (1e-4, 1e-5, 1e-3)
    assert (s4.optim.warmup_steps, s4.trainer.epochs, s4.dim) == (5000, 10, 512)


def test_a_missing_extra_is_said(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "jsonargparse", None)
    assert cli.main(["pretrain", *REQUIRED["pretrain"]]) == 2
    assert "napari-umpire[train]" in capsys.readouterr().err


def test_a_missing_option_is_named_as_it_is_typed(capsys):
    assert cli.main(["convert", "section"]) == 2
    assert "convert needs --output" in capsys.readouterr().err


def test_exit_codes(monkeypatch, capsys):
    def ends_with(error):
        def run(options):
            raise error

        monkeypatch.setattr(pretrain, "run", run)
        return cli.main(["pretrain", *REQUIRED["pretrain"]])

    from umpire_training.errors import TrainingStopped

    assert ends_with(InputError("The slide is upside down")) == 2
    assert ends_with(TrainingStopped("The loss became nan")) == 1
    assert ends_with(OSError(errno.ENOSPC, "No space left on device", "a.npy")) == 1
    assert "at a.npy failed. Got: No space left" in capsys.readouterr().err
    assert ends_with(OSError("59582 requested and 40928 written")) == 1
    assert "no room on the disk" in capsys.readouterr().err
    assert ends_with(KeyboardInterrupt()) == 130
    said = capsys.readouterr().err
    assert "interrupted; start again with --resume" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "full", "a.npy")])
def test_only_a_verb_that_resumes_speaks_of_it(monkeypatch, capsys, error):
    from umpire_training.verbs import reference

    def run(options):
        raise error

    monkeypatch.setattr(reference, "run", run)
    cli.main(["reference", "--model", "m", "--slides", "s"])
    said = capsys.readouterr().err
    assert "start again." in said
    assert "resume" not in said


@pytest.mark.parametrize(
    "argv",
    [
        ["convert", "nowhere", "--output", "out"],
        ["prepare", "--slides", "empty", "--output", "out"],
        ["prepare", "--counts", "cut.h5ad", "--make", "tokens", "--output", "out"],
        ["pretrain", "--corpus", "empty", "--output", "out"],
        ["predict", "nowhere", "--model", "empty", "--output", "out"],
        ["evaluate", "nowhere", "nowhere2", "--output", "out"],
    ],
    ids=lambda argv: argv[0] + "-" + argv[1].strip("-"),
)
def test_bad_input_by_shell_leaves_nothing(argv, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "cut.h5ad").write_bytes(b"\x89HDF\r\n\x1a\n" + b"\0" * 40)
    done = subprocess.run(
        [str(EXE), *argv], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("umpire-train: ")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cut.h5ad", "empty"]


def test_version():
    done = shell("--version")
    assert (done.returncode, done.stdout.split()[0]) == (0, "umpire-train")
