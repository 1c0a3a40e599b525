"""The Embedding widget."""
