"""The doctor finds what is wrong, says how to mend it, and asks no network."""

from __future__ import annotations

import errno
import socket
from collections import namedtuple
from importlib import metadata
from pathlib import Path

import pytest

from napari_umpire.inference.doctor import computer, files
from napari_umpire.inference.doctor.checkup import Check, Questions, as_text, check_steps, worst
from napari_umpire.models.local_weights import PUBLISHED, find_weights
from napari_umpire.progress import run
from napari_umpire.slides.scale import PhysicalScale

Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def _own_hub_cache(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.delenv("UMPIRE_WEIGHTS", raising=False)


def by_name(checks):
    return {check.name: check for check in checks}


def test_all_checks_run_without_a_network(monkeypatch, tmp_path, model_folder):
    def refuse(*_):
        raise AssertionError("the doctor asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    ask = Questions(model=str(model_folder), folders=(("results", tmp_path),), device="cpu")
    reports = []
    found = by_name(run(check_steps(ask), reports.append))
    assert {"Python", "Packages", "torch", "Device", "Threads", "torchvision", "OpenSlide"} <= set(
        found
    )
    assert found["Python"].status == found["Packages"].status == "PASS"
    assert found["Model"].status == "PASS"
    assert found["Reference"].status == "FAIL"  # this model has none
    assert "umpire-train reference" in found["Reference"].mend
    assert len({p.stage for p in reports}) == 7


def test_a_missing_and_an_old_package(monkeypatch):
    version = metadata.version

    def of(name):
        if name == "scanpy":
            raise metadata.PackageNotFoundError(name)
        return "0.1" if name == "zarr" else version(name)

    monkeypatch.setattr(metadata, "version", of)
    check = by_name(computer.check_packages())["Packages"]
    assert check.status == "FAIL"
    assert "missing: scanpy" in check.found
    assert "zarr 0.1 (>=3" in check.found
    assert "pip install" in check.mend


def test_a_device_that_is_not_there():
    found = by_name(computer.check_torch("cuda:77"))
    assert found["Device"].status == "FAIL"
    assert "no device 'cuda:77'" in found["Device"].found
    assert found["Device"].mend


def test_a_torch_without_cuda_beside_an_nvidia_gpu_is_told(monkeypatch):
    import torch

    monkeypatch.setattr(computer, "_has_nvidia", lambda: True)
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    check = by_name(computer.check_torch("cpu"))["Device"]
    assert (check.status, "CUDA build" in check.mend) == ("WARN", True)


def test_more_threads_than_cores(monkeypatch):
    monkeypatch.setattr(computer, "_cores", lambda: 0)
    check = by_name(computer.check_torch("cpu"))["Threads"]
    assert (check.status, "OMP_NUM_THREADS" in check.mend) == ("WARN", True)


@pytest.mark.parametrize(("mended", "status"), [(True, "WARN"), (False, "PASS")])
def test_a_torchvision_of_another_build(monkeypatch, mended, status):
    from napari_umpire.models import torchvision_guard

    torchvision_guard.heal()
    monkeypatch.setattr(torchvision_guard, "_kept_alive", [1] if mended else [])
    (check,) = computer.check_torchvision()
    assert check.status == status
    assert bool(check.mend) == mended


@pytest.mark.parametrize(("free", "status"), [(10**11, "PASS"), (10**9, "WARN"), (10**8, "FAIL")])
def test_room_on_the_disk(monkeypatch, tmp_path, free, status):
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: Usage(10**12, 0, free))
    (check,) = files.check_folders([("the cache", tmp_path / "not" / "yet")])
    assert check.status == status
    assert check.name == "Disk for the cache"
    assert not (tmp_path / "not").exists()


def test_a_folder_that_cannot_be_written_to(monkeypatch, tmp_path):
    def refuse(**_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(files.tempfile, "TemporaryFile", refuse)
    (check,) = files.check_folders([("results", tmp_path)])
    assert check.status == "FAIL"
    assert "Read-only" in check.found


def test_weights_in_a_folder_and_how_to_get_the_gated_ones(tmp_path):
    folder = tmp_path / "weights"
    (folder / "UNI2-h").mkdir(parents=True)
    (folder / "UNI2-h" / "pytorch_model.bin").write_bytes(b"uni2")
    (folder / "Virchow2.safetensors").write_bytes(b"abc")
    assert find_weights("MahmoodLab/UNI2-h", folder) == folder / "UNI2-h" / "pytorch_model.bin"
    (check,) = files.check_weights(folder)
    assert check.status == "PASS"
    # sha256 of "abc", known since FIPS 180
    assert f"Virchow2: {folder / 'Virchow2.safetensors'}, 3 bytes, sha256 ba7816bf8f01" in (
        check.found
    )
    for one in PUBLISHED:
        wanted = f"huggingface.co/{one.hub}, as {folder / one.name}.bin"
        assert (wanted in check.mend) == (one.title not in ("UNI2-h", "Virchow2"))
        # A file that is put where it says is found.
        one.place(folder).write_bytes(b"x")
        assert find_weights(one.hub, folder) is not None
    assert "UNI (gated)" in check.mend
    assert "Phikon (gated)" not in check.mend


def test_weights_in_the_cache_of_the_hub(tmp_path):
    snapshot = tmp_path / "hub" / "models--owkin--phikon" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").write_bytes(b"x")
    refs = snapshot.parents[1] / "refs"
    refs.mkdir()
    (refs / "main").write_text("abc")
    assert find_weights("owkin/phikon") == snapshot / "model.safetensors"
    assert find_weights("MahmoodLab/uni") is None


def test_a_folder_of_weights_that_is_not_there(tmp_path):
    checks = files.check_weights(tmp_path / "none")
    assert [c.status for c in checks] == ["WARN", "PASS"]


def test_weights_in_the_folder_of_the_environment_are_used_by_the_encoder(tmp_path, monkeypatch):
    from napari_umpire.errors import InputError
    from napari_umpire.models.vision import VisionConfig, create_vision_encoder

    with pytest.raises(InputError, match="UMPIRE_WEIGHTS"):
        create_vision_encoder(VisionConfig(name="phikon"))
    (tmp_path / "phikon.safetensors").write_bytes(b"not weights")
    monkeypatch.setenv("UMPIRE_WEIGHTS", str(tmp_path))
    with pytest.raises(InputError, match=r"phikon\.safetensors"):
        create_vision_encoder(VisionConfig(name="phikon"))


@pytest.mark.parametrize("what", ["nowhere", "empty", "damaged"])
def test_what_is_no_model(tmp_path, model_folder, what):
    import shutil

    folder = tmp_path / "model"
    if what == "empty":
        folder.mkdir()
    if what == "damaged":
        shutil.copytree(model_folder, folder)
        (folder / "model.safetensors").write_bytes(b"\x80\x04.")
    (check,) = files.check_model(str(folder))
    assert check.status == "FAIL"
    assert check.found
    assert check.mend


def test_a_slide_without_scale_and_one_with(slides):
    (fine,) = files.check_slide(slides[0])
    assert fine.status == "PASS"
    assert "2 um per px" in fine.found
    (unknown,) = files.check_slide(slides[0].with_scale(PhysicalScale()))
    assert unknown.status == "FAIL"
    assert "Predict" in unknown.mend


def test_words():
    checks = [
        Check("A", "PASS", "fine"),
        Check("B", "WARN", "first\nsecond", "do this"),
        Check("C", "FAIL", "broken " * 30, "mend it"),
    ]
    text = as_text(checks)
    assert "PASS  A: fine\nWARN  B: first\n      second\n      -> do this\n" in text
    assert max(map(len, text.splitlines())) <= 100
    assert text.endswith("1 PASS, 1 WARN, 1 FAIL")
    assert worst(checks) == "FAIL"
    assert worst(checks[:2]) == "WARN"
    assert worst([]) == "PASS"


def test_the_verb_prints_the_table_and_its_exit_code_says_fail(tmp_path, capsys, slides):
    from napari_umpire.slides.convert import write_slide
    from umpire_training.cli import main

    path = write_slide(slides[0], tmp_path / "slide.zarr")
    assert main(["doctor", "--slide", str(path), "--output", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "PASS  Slide synthetic_0" in out
    assert main(["doctor", "--model", str(tmp_path / "none"), "--cache", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "FAIL  Model" in out
    assert "Disk for the cache" in out


def test_it_needs_no_window():
    import subprocess
    import sys

    code = (
        "import sys; sys.modules['qtpy'] = None; sys.modules['napari'] = None\n"
        "from umpire_training.cli import main; sys.exit(main(['doctor']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False,
        cwd=Path(__file__).parent,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "0 FAIL" in done.stdout
