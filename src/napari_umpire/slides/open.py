"""`open_slide`: whatever a person drops on the program, as a `Slide`."""

from __future__ import annotations

import importlib
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from napari_umpire.bounded import check_file
from napari_umpire.errors import InputError
from napari_umpire.faults import out_of_memory, reading

if TYPE_CHECKING:
    from types import ModuleType

    from napari_umpire.slides.slide import Slide

__all__ = ["SlideKind", "open_slide", "open_slides", "sniff"]

SlideKind = Literal["spaceranger", "spatialdata", "st", "image"]

# In this order: a legacy ST section may be named by its image, and a store may hold images.
_READERS: dict[SlideKind, str] = {
    "spatialdata": "spatialdata_store",
    "spaceranger": "spaceranger",
    "st": "legacy_st",
    "image": "image",
}
_KNOWN = "a Space Ranger folder, a SpatialData store, a legacy ST section or an H&E image"


def sniff(path: str | Path) -> SlideKind | None:
    """Say what kind of slide a path is, from names alone and without heavy imports.

    None where no reader claims it; a claimed path may still be refused when it is opened.
    """
    path = Path(path)
    for kind in _READERS:
        try:
            if _reader(kind).claims(path):
                return kind
        except (OSError, ValueError):  # a folder without rights, a name too long or with a NUL
            continue
    return None


def open_slide(
    path: str | Path,
    *,
    mpp: float | None = None,
    image: str | Path | None = None,
    region: str | None = None,
    name: str | None = None,
) -> Slide:
    """Open one slide.

    Parameters
    ----------
    path
        A Space Ranger folder (``outs`` or what holds ``spatial``), a SpatialData store, a section
        of a legacy Spatial Transcriptomics folder (its counts or its image), or an image.
    mpp
        Um per full-resolution px, where the user knows better than the files.
    image
        The image to use: a full-resolution file for a Space Ranger folder or a legacy section, an
        element of a SpatialData store, the name or number of one of several images in a file.
    region
        The shapes element to use, for stores with several.
    name
        Name of the slide; from the path where not given.

    Raises
    ------
    InputError
        Where the path is no slide, or is one that cannot be used; says why and what to do.
    """
    slides = open_slides(path, mpp=mpp, image=image, region=region, name=name)
    if len(slides) > 1:
        listed = ", ".join(f"{n}: {slide.name}" for n, slide in enumerate(slides, 1))
        scenes = slides[0].scene is not None
        raise InputError(
            f"{Path(path).name} holds {len(slides)} slides",
            got=listed if scenes else ", ".join(slide.region for slide in slides),
            expected="one",
            fix="Name one by its name or number: image='1' (--image 1 in a shell)"
            if scenes
            else f"Name one, for example region={slides[0].region!r}",
        )
    return slides[0]


def open_slides(
    path: str | Path,
    *,
    mpp: float | None = None,
    image: str | Path | None = None,
    region: str | None = None,
    name: str | None = None,
) -> list[Slide]:
    """Open every slide of a path: all regions of a store, sections of a folder, scenes of a file.

    Parameters and errors are those of `open_slide`.
    """
    path = _place(path)
    kind = sniff(path)
    if kind is None:
        raise _no_slide(path)
    try:
        return _reader(kind).read(path.absolute(), mpp=mpp, image=image, region=region, name=name)
    except (InputError, Warning):
        raise
    except MemoryError as error:
        raise out_of_memory(f"{path.name} cannot be opened", error) from error
    except Exception as error:
        # A net for what nobody foresaw: a window must not lose its slides to one bad file.
        logging.getLogger("napari_umpire").exception("%s cannot be opened", path)
        raise InputError(
            f"{path.name} cannot be opened",
            got=f"An unexpected {type(error).__name__}: {error}",
            expected=_KNOWN,
            fix="Please report this with the file, if it opens elsewhere",
        ) from error


def _place(given: str | Path) -> Path:
    """The path that was given, once there is a file or a folder."""
    with reading(f"The path {given!r} cannot be used", expected=_KNOWN, fix="Check the path"):
        path = Path(given)
        if not os.path.lexists(path):
            path = path.expanduser()
    if not os.path.lexists(path):
        raise InputError(f"{path} does not exist", fix="Check the path")
    if path.is_symlink() and not os.path.exists(path):
        raise InputError(
            f"{path} is a link that leads nowhere",
            got=f"a link to {os.readlink(path)}",
            expected=_KNOWN,
            fix="Check the path",
        )
    with reading(f"{path} cannot be opened", fix="Check the path and your rights to read it"):
        folder = path.is_dir()
    if not folder:
        check_file(path, str(path))
        if path.name.startswith("._"):
            raise InputError(
                f"{path.name} is a companion that macOS writes beside a file",
                expected=_KNOWN,
                fix=f"Open {path.name[2:]}",
            )
    return path


def _reader(kind: SlideKind) -> ModuleType:
    return importlib.import_module(f"napari_umpire.slides.readers.{_READERS[kind]}")


def _no_slide(path: Path) -> InputError:
    if not path.is_dir():
        around = next((p for p in path.absolute().parents[:3] if sniff(p) is not None), None)
        fix = None if around is None else f"Open the folder {around}"
        return InputError(f"{path.name} is not a slide", expected=_KNOWN, fix=fix)
    with reading(f"The folder {path.name} cannot be read", fix="Check your rights to read it"):
        inside = sorted(p for p in path.iterdir() if not p.name.startswith("."))
    if not inside:
        return InputError(f"The folder {path.name} is empty", expected=_KNOWN)
    slides = [p.name for p in inside if sniff(p) is not None]
    if slides:
        listed = ", ".join(slides[:5]) + (f" and {len(slides) - 5} more" if slides[5:] else "")
        return InputError(
            f"{path.name} is not a slide but a folder of slides",
            got=listed,
            fix="Open one of them",
        )
    return InputError(f"The folder {path.name} holds no slide", expected=_KNOWN)
