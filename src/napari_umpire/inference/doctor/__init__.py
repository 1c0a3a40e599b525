"""What this computer, a model and a slide are fit for."""
