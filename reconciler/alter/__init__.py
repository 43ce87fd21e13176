"""The live API behind the port `AgentApi`: signing, transport, retries, JSON to model values."""

import sys

# httpx imports its own command line with it, and rich and pygments for that: longer than all the rest of it.
# Named as absent, it is left out, as it is where those are not installed.
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
