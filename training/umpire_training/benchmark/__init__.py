"""Leave-one-section-out: folds, scores, the table."""
