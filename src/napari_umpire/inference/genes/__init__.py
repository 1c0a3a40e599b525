"""Genes as they are looked for, listed, read in blocks and scored together."""
