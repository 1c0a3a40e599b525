"""What training reads: token corpora and paired sets, made from slides, counts and h5ad files."""
