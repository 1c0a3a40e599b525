"""The napari side: drag and drop, session, map layers, widgets. Only this room knows Qt."""
