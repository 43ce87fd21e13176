"""The places where minted API keys are delivered: one module for each, opened by ``registry.open_sink``."""
