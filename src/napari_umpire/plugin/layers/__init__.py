"""What napari is given to draw, and keeping it in step with the session."""
