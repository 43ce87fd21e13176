"""The live API behind the port `AgentApi`: signing, transport, retries, JSON to model values."""
