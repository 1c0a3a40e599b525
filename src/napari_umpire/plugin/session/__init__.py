"""What one viewer works on."""
