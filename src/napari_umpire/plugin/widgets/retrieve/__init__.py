"""The Retrieve widget."""
