"""The Compare widget."""
