"""What is installed from a wheel: every file of both packages, the manifest and the command."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("src/napari_umpire", "training/umpire_training")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def test_a_wheel_holds_every_file_of_both_packages(wheel):
    there = {
        str(path.relative_to((ROOT / package).parent))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert packed == there
    assert "umpire_training/recipes/visiumformer.yaml" in packed
    assert wheel.read("napari_umpire/napari.yaml").startswith(b"name: napari-umpire")


def test_a_wheel_offers_the_plugin_and_the_command(wheel):
    (name,) = [n for n in wheel.namelist() if n.endswith("entry_points.txt")]
    text = wheel.read(name).decode()
    assert "umpire-train = umpire_training.cli:main" in text
    assert "[napari.manifest]\nnapari-umpire = napari_umpire:napari.yaml" in text
