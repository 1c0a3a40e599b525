"""The status of a whole slide, by attention over its tiles."""
