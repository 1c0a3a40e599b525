"""Classes of spots: labels, a linear probe, its test; groups in the space of embeddings."""
