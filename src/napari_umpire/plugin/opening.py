"""Opening slides by our own reader, without the question which plugin may read them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_umpire.progress import Progress, Steps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari import Viewer

    from napari_umpire.plugin.session.session import Session
    from napari_umpire.plugin.widgets.predict.predict import PredictWidget
    from napari_umpire.slides.slide import Slide

__all__ = [
    "add_slides",
    "ask_scale",
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


def open_steps(path: str | Path, **options: Any) -> Steps[list[Slide]]:
    """Open every slide of a path, as `open_slides` with ``options``, ready to be drawn.

    Raises
    ------
    InputError
        Where the path cannot be opened.
    """
    from napari_umpire.plugin.layers.overview import prepare_overview
    from napari_umpire.slides.images import header_size
    from napari_umpire.slides.open import open_slides

    name = Path(path).name
    yield Progress(f"Opening {name}", 0, 0, "")
    if (size := header_size(Path(path))) is not None:
        yield Progress(f"Opening {name}, {size[1]:,} × {size[0]:,} px", 0, 0, "")
    slides = open_slides(path, **options)
    for slide in slides:
        yield Progress(f"Reading the picture of {slide.name}", 0, 0, "")
        prepare_overview(slide.pyramid)
    return slides


def add_slides(viewer: Viewer, slides: Sequence[Slide], *, show_first: bool = True) -> None:
    """Show slides in the window, of several only the first visible; in the GUI thread."""
    from napari_umpire.plugin.layers.make import slide_layer

    for number, slide in enumerate(slides):
        data, attributes, _ = slide_layer(slide)
        viewer.add_image(data, **attributes, visible=show_first and number == 0)
    ask_scale(slides)


def ask_scale(slides: Sequence[Slide]) -> None:
    """Tell the user to say the scale of those slides whose files do not."""
    from napari.utils.notifications import show_warning

    for slide in slides:
        if slide.scale.mpp is None:
            show_warning(
                # Napari shows the first words and folds the rest.
                "Enter the µm per pixel in Predict: the file of "
                f"{slide.name} does not say it, so the slide is shown in pixels. "
                "The widget is in Plugins > Umpire > Predict. Until then napari warns of "
                "inconsistent units where slides in µm are open too."
            )


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
