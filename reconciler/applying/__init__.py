"""Carries out a plan through the ports: nothing here decides what should be done."""
