"""What the widgets say."""
