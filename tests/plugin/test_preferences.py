"""What napari's preferences say is what the widgets start with."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from napari_umpire.plugin.preferences import COLORMAPS, DEVICES, Preferences, preferences
from napari_umpire.plugin.session.session import session_of


@pytest.fixture
def settings():
    from napari.settings import get_plugin_settings

    return get_plugin_settings("napari-umpire")


def test_defaults_of_the_manifest_are_those_of_the_code(settings):
    assert preferences() == Preferences()


def test_choices_of_the_manifest_are_those_of_the_code():
    from typing import get_args, get_type_hints

    from npe2 import PluginManifest

    from napari_umpire.plugin.layers.ranges import RangeChoice

    groups = PluginManifest.from_distribution("napari-umpire").contributions.configurations
    said = {k: p for group in groups.values() for k, p in group.properties.items()}
    assert set(said) == set(Preferences.__dataclass_fields__)
    assert tuple(said["device"].enum) == DEVICES
    assert tuple(said["colormap"].enum) == COLORMAPS
    assert set(said["range_mode"].enum) <= set(get_args(get_type_hints(RangeChoice)["mode"]))


def test_a_change_is_kept_in_the_settings_file_of_the_plugin(settings):
    settings.run.k = 12
    settings.folders.weights = " ~/weights "
    assert preferences().k == 12
    assert preferences().weights is not None
    assert not str(preferences().weights).startswith("~")
    assert yaml.safe_load(settings.config_path.read_text())["run"] == {"k": 12}


def test_a_damaged_settings_file_costs_only_its_values(tmp_path, monkeypatch):
    from napari import settings

    settings.get_plugin_settings("napari-umpire")
    file = tmp_path / "settings" / "napari-umpire.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text("run: {k: -3, device: moon}\nmaps: {colormap: magma}\n")
    monkeypatch.setattr(settings, "_PLUGIN_SETTINGS", {})
    found = preferences()
    assert (found.k, found.device, found.colormap) == (50, "auto", "magma")


def test_maps_start_with_the_range_and_colours_of_the_preferences(
    settings, open_viewer, slide, prediction
):
    settings.maps.range_mode = "absolute"
    settings.maps.colormap = "magma"
    viewer = open_viewer(slide, show=False)
    session = session_of(viewer)
    assert session.range.mode == "absolute"
    session.set_prediction(slide.name, prediction)
    gene = prediction.genes.index[0]
    session.set_gene(session.current.genes.key_of_predicted(gene))
    layer = session.display.layer("predicted")
    assert layer.colormap.name == "magma"
    np.testing.assert_allclose(layer.contrast_limits, session.range.absolute)


def test_features_go_where_the_preferences_say(settings, tmp_path):
    from napari_umpire.plugin.widgets.parts.places import cache_folder

    usual = cache_folder()
    assert usual.name == "features"
    settings.folders.cache = str(tmp_path / "mine")
    assert cache_folder() == tmp_path / "mine"


@pytest.mark.slow
def test_they_are_shown_in_naparis_own_dialog(settings, open_viewer, qtbot):
    from napari._qt.dialogs.preferences_dialog import PreferencesDialog
    from qtpy.QtWidgets import QSpinBox

    open_viewer(show=False)
    dialog = PreferencesDialog()
    qtbot.addWidget(dialog)
    spins = [s for s in dialog.findChildren(QSpinBox) if s.value() == 50 and s.maximum() == 10_000]
    assert spins
    spins[0].setValue(21)
    assert preferences().k == 21


@pytest.fixture
def dialog(settings, open_viewer, qtbot):
    from napari._qt.dialogs.preferences_dialog import PreferencesDialog

    from napari_umpire.plugin.preferences_page import FolderLine, watch_preferences

    def open_():
        open_viewer(show=False)
        watch_preferences()
        made = PreferencesDialog()
        qtbot.addWidget(made)
        made._list.setCurrentRow(made._list.count() - 1)
        made.show()
        return made, {line._name: line for line in made.findChildren(FolderLine)}

    return open_


def test_folders_have_a_browse_button_in_naparis_own_dialog(dialog, qtbot, monkeypatch, tmp_path):
    from qtpy.QtCore import Qt
    from qtpy.QtWidgets import QFileDialog

    made, lines = dialog()
    assert set(lines) == {"weights", "cache"}
    (tmp_path / "models").mkdir()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "models"))
    button = lines["weights"].browse
    qtbot.waitUntil(button.isVisible)
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert preferences().weights == tmp_path / "models"
    # Shown again, it has one button still.
    made.hide()
    made.show()
    assert len(made.findChildren(type(lines["cache"]))) == 2
    made.accept()
    assert preferences().weights == tmp_path / "models"


def test_a_folder_that_is_not_there_is_said_and_not_kept(dialog, settings, tmp_path):
    from napari.utils.notifications import notification_manager

    settings.folders.cache = str(tmp_path)
    (tmp_path / "file").write_text("")
    made, lines = dialog()
    line = lines["cache"]
    for text, said in (
        (str(tmp_path / "gone"), "There is no folder"),
        (str(tmp_path / "file"), "is a file"),
        ("cache", "not a whole path"),
    ):
        line._line.setText(text)
        assert said in line.words.text()
        assert not line.words.isHidden()
    line._line.setText("  ")
    assert line.words.isHidden()
    line._line.setText(str(tmp_path / "gone"))
    notification_manager.records.clear()
    made.accept()
    assert preferences().cache == tmp_path
    assert "There is no folder" in notification_manager.records[-1].message
    assert f"It stays {tmp_path}." in notification_manager.records[-1].message


def test_a_folder_on_a_disk_that_is_away_survives_a_look_at_the_dialog(dialog, settings, tmp_path):
    from napari.utils.notifications import notification_manager

    settings.folders.weights = str(tmp_path / "away")
    notification_manager.records.clear()
    made, lines = dialog()
    assert "There is no folder" in lines["weights"].words.text()
    made.accept()
    assert preferences().weights == tmp_path / "away"
    made, lines = dialog()
    lines["weights"]._line.setText(str(tmp_path / "other"))
    made.reject()
    assert preferences().weights == tmp_path / "away"
    assert not notification_manager.records


def test_folders_that_are_not_there_are_said_as_the_plugin_wakes(settings, tmp_path, qapp):
    from napari.utils.notifications import notification_manager
    from npe2 import PluginManifest

    from napari_umpire.plugin.activate import activate

    manifest = PluginManifest.from_distribution("napari-umpire")
    assert manifest.on_activate == "napari_umpire.plugin.activate:activate"
    notification_manager.records.clear()
    activate(None)
    assert not notification_manager.records
    settings.folders.weights = str(tmp_path / "away")
    settings.folders.cache = str(tmp_path / "new")
    activate(None)
    (note,) = notification_manager.records
    assert f"no folder {tmp_path / 'away'}, so no models are offered" in note.message
    assert f"no folder {tmp_path / 'new'}; the next run will make it" in note.message


def test_predict_starts_with_device_batch_k_and_offers_the_models_of_the_folder(
    settings, open_viewer, model_folder, tmp_path
):
    import shutil

    models = tmp_path / "models"
    shutil.copytree(model_folder, models / "mine")
    (models / "other").mkdir()
    settings.run.device, settings.run.batch_size, settings.run.k = "cpu", 8, 31
    settings.folders.weights = str(models)
    viewer = open_viewer(show=False)
    _, widget = viewer.window.add_plugin_dock_widget("napari-umpire", "Predict")
    assert (widget.device.currentText(), widget.batch.value(), widget.k.value()) == ("cpu", 8, 31)
    combo = widget.model.combo
    assert [combo.itemText(i) for i in range(combo.count())] == [str(models / "mine")]
    options = widget.options()
    assert (options.device, options.batch_size, options.k) == ("cpu", 8, 31)
