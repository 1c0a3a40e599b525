"""The doctor's look at the computer: Python, packages, torch and its device, OpenSlide."""

from __future__ import annotations

import importlib
import os
import platform
import re
import sys
import warnings
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from napari_umpire.errors import InputError
from napari_umpire.inference.doctor.checkup import Check

if TYPE_CHECKING:
    from collections.abc import Iterable

    import torch

__all__ = ["check_openslide", "check_packages", "check_torch", "check_torchvision"]

_US = "napari-umpire"
_EXTRAS = {"gui": "window", "train": "training"}


def check_packages() -> list[Check]:
    """Python and every package that this one asks for: here, and in its range."""
    about = metadata.metadata(_US)
    checks = [_python(about["Requires-Python"])]
    wanted = metadata.requires(_US) or []
    checks.append(_packages("Packages", [w for w in wanted if "extra ==" not in w], "", "FAIL"))
    for extra, purpose in _EXTRAS.items():
        of_extra = [w for w in wanted if re.search(rf"extra == ['\"]{extra}['\"]", w)]
        checks.append(_packages(f"Packages, {purpose}", of_extra, f"[{extra}]", "WARN"))
    return checks


def _python(wanted: str) -> Check:
    from packaging.specifiers import SpecifierSet

    found = platform.python_version()
    name, said = "Python", f"{found} on {platform.system()} {platform.machine()}"
    if SpecifierSet(wanted).contains(found, prereleases=True):
        return Check(name, "PASS", said)
    return Check(name, "FAIL", f"{said}; {wanted} is needed", "Install a Python of that version")


def _packages(name: str, wanted: Iterable[str], extra: str, grave: str) -> Check:
    from packaging.requirements import Requirement

    missing, outside, ours = [], [], []
    for text in wanted:
        need = Requirement(text)
        if need.marker is not None and not need.marker.evaluate({"extra": extra.strip("[]")}):
            continue
        try:
            version = metadata.version(need.name)
        except metadata.PackageNotFoundError:
            missing.append(need.name)
            continue
        ours.append(need.name)
        if not need.specifier.contains(version, prereleases=True):
            outside.append(f"{need.name} {version} ({need.specifier} is needed)")
    mend = f"pip install --upgrade '{_US}{extra}'"
    if missing or outside:
        said = [f"missing: {', '.join(missing)}"] * bool(missing) + outside
        status = "FAIL" if grave == "FAIL" else "WARN"
        return Check(name, status, "; ".join(said), mend)  # type: ignore[arg-type]
    own = f"{_US} {metadata.version(_US)}; " if not extra else ""
    return Check(name, "PASS", f"{own}{len(ours)} here, each in a version that fits")


def check_torch(device: str = "auto") -> list[Check]:
    """Torch, the device that a prediction would take, and the number of threads."""
    import torch

    from napari_umpire.inference.devices import pick_device, uses_bf16

    built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "no CUDA in this build"
    checks = [Check("torch", "PASS", f"{torch.__version__}, {built}")]
    try:
        where = pick_device(device)
        float((torch.ones(8, 8, device=where) @ torch.ones(8, 8, device=where)).sum())
    except InputError as error:
        return [*checks, Check("Device", "FAIL", error.problem, error.fix or "")]
    except RuntimeError as error:
        said = " ".join(str(error).split())[:200]
        mend = 'Choose the device "cpu", or update the driver of the GPU'
        return [*checks, Check("Device", "FAIL", f"{device} cannot compute: {said}", mend)]
    checks.append(_device(where, uses_bf16(where)))
    cores, threads = _cores(), torch.get_num_threads()
    said = f"{threads} of {cores} cores are used by torch"
    if threads > cores:
        mend = f"Set OMP_NUM_THREADS={cores} before starting: more threads than cores is slower"
        return [*checks, Check("Threads", "WARN", said, mend)]
    return [*checks, Check("Threads", "PASS", said)]


def _device(where: torch.device, bf16: bool) -> Check:
    import torch

    precision = "bfloat16" if bf16 else "float32"
    if where.type == "cuda":
        about = torch.cuda.get_device_properties(where)
        said = f"{about.name}, {about.total_memory / 1e9:.0f} GB, computes in {precision}"
        return Check("Device", "PASS", said)
    if where.type == "mps":
        return Check("Device", "PASS", f"Apple GPU (mps), computes in {precision}")
    said = f"cpu, computes in {precision}"
    if torch.cuda.is_available() or torch.backends.mps.is_available():
        return Check("Device", "WARN", f"{said}, although there is a GPU", 'Choose "auto"')
    if torch.version.cuda is None and _has_nvidia():
        return Check(
            "Device",
            "WARN",
            f"{said}: there is an NVIDIA GPU, but this torch was built without CUDA",
            "Install the CUDA build of torch: see pytorch.org, Get started",
        )
    if torch.version.cuda is not None and _has_nvidia():
        return Check(
            "Device",
            "WARN",
            f"{said}: there is an NVIDIA GPU, but torch {torch.__version__} cannot use it",
            f"Update the GPU's driver to one for CUDA {torch.version.cuda} or later",
        )
    return Check("Device", "PASS", f"{said}; no GPU was found, predictions work without")


def _has_nvidia() -> bool:
    return Path("/proc/driver/nvidia/version").exists() or (
        os.name == "nt" and Path(r"C:\Windows\System32\nvcuda.dll").exists()
    )


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_torchvision() -> list[Check]:
    """Whether torchvision is of the same build as torch; timm imports it."""
    from napari_umpire.models.torchvision_guard import heal, is_mended

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what it warns of is said here
        try:
            heal()
        except (ImportError, RuntimeError, OSError) as error:
            said = " ".join(str(error).split())[:200]
            mend = "pip install --force-reinstall torchvision"
            return [Check("torchvision", "FAIL", f"cannot be imported: {said}", mend)]
    if "torchvision" not in sys.modules:
        mend = "pip install torchvision"
        return [Check("torchvision", "WARN", "is not installed", mend)]
    version = metadata.version("torchvision")
    if is_mended():
        return [
            Check(
                "torchvision",
                "WARN",
                f"{version} was built for another torch; what is needed of it was mended",
                "Install torchvision from the same place as torch, to be rid of this",
            )
        ]
    return [Check("torchvision", "PASS", version)]


def check_openslide() -> list[Check]:
    """Whether vendors' slide formats can be read."""
    name, formats = "OpenSlide", "Hamamatsu, Mirax, Leica and Ventana files"
    try:
        openslide = importlib.import_module("openslide")
    except (ImportError, OSError) as error:
        lacks = "is not installed" if isinstance(error, ModuleNotFoundError) else "does not load"
        mend = f"pip install '{_US}[wsi]'"
        return [Check(name, "WARN", f"{lacks}, so {formats} cannot be opened", mend)]
    return [Check(name, "PASS", f"{openslide.__library_version__}, for {formats}")]
