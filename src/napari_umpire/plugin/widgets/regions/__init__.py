"""The Regions widget."""
