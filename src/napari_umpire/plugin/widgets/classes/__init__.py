"""The Classes widget."""
