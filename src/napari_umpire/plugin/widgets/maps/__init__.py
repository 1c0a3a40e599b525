"""The Gene maps widget."""
