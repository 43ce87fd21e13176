"""YAML → Desired: everything that is known about the configuration before the live API is read."""
