"""Tests of ``reconciler/reports``."""
