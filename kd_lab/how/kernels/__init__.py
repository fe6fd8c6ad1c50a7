"""how/kernels."""
