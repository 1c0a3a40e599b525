"""The Results widget."""
