"""`umpire-train reference`: what is kept with the reference spots."""

from __future__ import annotations

import shutil

import pytest

from napari_umpire.inference.references.database import ReferenceDatabase
from umpire_training.cli import main


@pytest.mark.parametrize(
    ("words", "pictures", "images"),
    [
        ([], False, True),
        (["--patches"], True, True),
        (["--patches", "--image_embeddings", "false"], True, False),
    ],
    ids=["by default", "patches", "no image embeddings"],
)
def test_pictures_are_kept_only_when_asked_for(
    model_folder, slide_paths, tmp_path, capsys, words, pictures, images
):
    model = shutil.copytree(model_folder, tmp_path / "model")
    shutil.rmtree(model / "reference", ignore_errors=True)
    assert main(["reference", "--model", str(model), slide_paths[0], *words]) == 0
    built = ReferenceDatabase.open(model / "reference")
    assert (built.patches is not None) == pictures
    assert (built.image_embeddings is not None) == images
    assert ("with their pictures" in capsys.readouterr().err) == pictures
    built.verify()


def test_the_help_says_whose_tissue_it_is(capsys):
    with pytest.raises(SystemExit):
        main(["reference", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "--patches" in said
    assert "tissue of the reference's patients" in said
