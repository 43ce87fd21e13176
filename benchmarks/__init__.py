"""Measurements of whole commands, each a ratio against something else in the same run."""
