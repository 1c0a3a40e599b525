"""The Evidence widget."""
