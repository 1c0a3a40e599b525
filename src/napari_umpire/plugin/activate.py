"""What is done once, as napari begins to use the plugin."""

from __future__ import annotations

import importlib.util

from napari_umpire.plugin.folders import missing_words
from napari_umpire.plugin.preferences import preferences

__all__ = ["activate"]


def activate(*_: object) -> None:
    """Make the preferences ready, and say which of their folders are not there."""
    from napari.utils.notifications import show_warning

    said = missing_words(preferences())
    if said:
        show_warning(said)
    if importlib.util.find_spec("qtpy") is not None:  # napari reads slides without a window too
        from napari_umpire.plugin.preferences_page import watch_preferences

        watch_preferences()
