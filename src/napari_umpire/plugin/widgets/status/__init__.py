"""The Slide status widget."""
