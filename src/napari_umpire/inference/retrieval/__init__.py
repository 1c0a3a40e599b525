"""Search in the aligned space: from genes or a spot to patches, and back."""
