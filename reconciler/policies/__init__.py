"""Evaluates the user's policies: in a process of its own, with limits, and without anything to steal."""
