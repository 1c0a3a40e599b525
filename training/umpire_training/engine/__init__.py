"""A training in rounds of steps that resumes exactly, on Lightning and torch.distributed."""
