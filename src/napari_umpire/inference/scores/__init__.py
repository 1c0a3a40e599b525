"""Predicted against measured, and one group of spots against another."""
