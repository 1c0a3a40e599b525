"""Dock widgets: layout and wiring only."""
