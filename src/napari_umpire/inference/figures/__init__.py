"""Gene maps for print."""
