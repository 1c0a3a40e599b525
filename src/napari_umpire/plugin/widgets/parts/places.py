"""Where this user's settings and cached features lie."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import QSettings, QStandardPaths

from napari_umpire.plugin.preferences import preferences

__all__ = ["cache_folder", "settings"]


def settings() -> QSettings:
    """What the widgets remember between sessions."""
    return QSettings(
        QSettings.Format.IniFormat, QSettings.Scope.UserScope, "napari-umpire", "napari-umpire"
    )


def cache_folder() -> Path:
    """Features of slides, safe to delete at any time: where the preferences say, or as usual."""
    chosen = preferences().cache
    if chosen is not None:
        return chosen
    place = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.GenericCacheLocation)
    return Path(place) / "napari-umpire" / "features"
