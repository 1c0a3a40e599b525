"""The doctor's look at the window: OpenGL and the slides that are open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_umpire.inference.doctor.checkup import Check, Questions
from napari_umpire.plugin.preferences import preferences

if TYPE_CHECKING:
    from pathlib import Path

    from napari_umpire.plugin.session.session import Session

__all__ = ["check_graphics", "check_open_slides", "questions"]

_SOFTWARE = ("llvmpipe", "softpipe", "swiftshader", "gdi generic")
_SMALL_TEXTURE = 8192


def check_graphics() -> list[Check]:
    """Which OpenGL draws the canvas, and how large a texture it takes.

    Asks vispy's current context, so it is called in the GUI thread with a window open.
    """
    import napari
    from vispy import gloo

    name = "Graphics"
    try:
        renderer = str(gloo.gl.glGetParameter(gloo.gl.GL_RENDERER) or "")
        version = str(gloo.gl.glGetParameter(gloo.gl.GL_VERSION) or "")
        largest = int(gloo.gl.glGetParameter(gloo.gl.GL_MAX_TEXTURE_SIZE) or 0)
    except (RuntimeError, TypeError, AttributeError) as error:
        said = f"no OpenGL could be asked ({type(error).__name__})"
        return [Check(name, "WARN", said, "Open an image, and look again")]
    if not renderer:
        return [Check(name, "WARN", "no OpenGL is in use yet", "Open an image, and look again")]
    said = f"{renderer}, OpenGL {version.split()[0]}, textures to {largest:,} px"
    said += f"; napari {napari.__version__}"
    if any(word in renderer.lower() for word in _SOFTWARE):
        mend = "Drawn by the processor, slowly: update the graphics driver, or avoid remote desktop"
        return [Check(name, "WARN", said, mend)]
    if largest < _SMALL_TEXTURE:
        mend = "Large windows are drawn coarsely: update the graphics driver"
        return [Check(name, "WARN", said, mend)]
    return [Check(name, "PASS", said)]


def check_open_slides(session: Session) -> list[Check]:
    """How the slides that are open stand with their scale."""
    from napari_umpire.inference.doctor.files import check_slide

    checks = [check for state in session.slides.values() for check in check_slide(state.slide)]
    return checks or [Check("Slide", "PASS", "none is open")]


def questions(session: Session) -> Questions:
    """What to ask the doctor from a window: its model, and the folders of the preferences."""
    from napari_umpire.plugin.widgets.parts.places import cache_folder

    chosen = preferences()
    folders: list[tuple[str, Path]] = [("the cache", cache_folder())]
    state = session.current
    if state is not None and state.slide.path is not None:
        folders.append(("results", state.slide.path.parent))
    return Questions(
        model=session.model_path or None, device=chosen.device, folders=tuple(folders),
        weights=chosen.weights,
    )  # fmt: skip
