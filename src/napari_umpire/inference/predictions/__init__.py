"""A prediction: its maps, its evidence, how far to trust it, its record, its files."""
