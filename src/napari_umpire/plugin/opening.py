"""Opening slides by our own reader, without the question which plugin may read them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_umpire.errors import InputError
from napari_umpire.progress import Progress, Steps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari import Viewer

    from napari_umpire.plugin.session.session import Session
    from napari_umpire.plugin.widgets.predict.predict import PredictWidget
    from napari_umpire.slides.slide import Slide

__all__ = [
    "add_slides",
    "is_record",
    "open_folder_dialog",
    "open_slide_dialog",
    "open_steps",
    "slide_of",
    "slide_paths",
]

RECORD_SUFFIXES = (".yaml", ".yml")


def is_record(path: str | Path) -> bool:
    """Whether a path has the ending of a run record."""
    return Path(path).suffix.lower() in RECORD_SUFFIXES


def slide_paths(paths: Sequence[str | Path]) -> list[Path]:
    """The paths that a reader of ours claims, by their names."""
    from napari_umpire.slides.open import sniff

    return [Path(p) for p in paths if sniff(p) is not None]


def open_steps(paths: Sequence[str | Path], **options: Any) -> Steps[list[Slide]]:
    """Open every slide of every path, as `open_slides` with ``options``.

    Raises
    ------
    InputError
        For the first path that cannot be opened, once the others were tried, if none could.
    """
    from napari_umpire.slides.open import open_slides

    slides: list[Slide] = []
    problems: list[InputError] = []
    for number, path in enumerate(paths):
        yield Progress(f"Opening {Path(path).name}", number, 0, "")
        try:
            slides += open_slides(path, **options)
        except InputError as error:
            problems.append(error)
    if problems and not slides:
        raise problems[0]
    for problem in problems:
        import warnings

        from napari_umpire.errors import UmpireWarning

        warnings.warn(str(problem), UmpireWarning, stacklevel=2)
    return slides


def add_slides(viewer: Viewer, slides: Sequence[Slide]) -> None:
    """Show slides in the window, the first one of several visible; in the GUI thread."""
    from napari_umpire.plugin.layers.make import slide_layer

    for number, slide in enumerate(slides):
        data, attributes, _ = slide_layer(slide)
        viewer.add_image(data, **attributes, visible=number == 0)


def slide_of(session: Session, path: str | Path, region: str | None = None) -> str | None:
    """Name of the open slide that came from ``path``, None where there is none."""
    wanted = Path(path).expanduser().absolute()
    for name, state in session.slides.items():
        opened = state.slide.path
        same = opened is not None and (opened == wanted or _same_file(opened, wanted))
        if same and region in (None, state.slide.region):
            return name
    return None


def _same_file(a: Path, b: Path) -> bool:
    try:
        return a.samefile(b)
    except OSError:
        return False


def open_slide_dialog(viewer: Viewer) -> None:
    """The menu's way to open a file: by the Predict widget, which says how it went."""
    _predict(viewer).opener.ask()


def open_folder_dialog(viewer: Viewer) -> None:
    """The menu's way to open a folder."""
    _predict(viewer).opener.ask_folder()


def _predict(viewer: Viewer) -> PredictWidget:
    _, widget = viewer.window.add_plugin_dock_widget("napari-umpire", "Predict")
    return widget
