"""Frozen values without I/O: what the rest of the reconciler talks about."""
