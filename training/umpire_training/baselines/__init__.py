"""Control rows: what every score is shown beside."""
