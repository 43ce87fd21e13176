"""What one running sandbox can be told to do differently from the next."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    """Kept in memory only: the database holds state, never behaviour."""

    latency_seconds: float = 0.0
    rate_limit_per_minute: int | None = None
    """Requests each key may make in a window; None is unlimited and sends no budget headers."""
    rate_limit_window_seconds: int = 60
    announces_rate_limit: bool = True
    """Without it only a 429 says that there is a limit."""
    key_cap: int = 5
    """Non-revoked keys one agent may hold."""
    default_grace_seconds: int = 86_400
    clock_skew_seconds: int = 300
    last_used_lag_seconds: int = 0
    """How long a use of a key stays invisible in `last_used_at`."""
    supports_narrowing: bool = True
    metadata_merge: bool = False
    """PATCH merges metadata at the top level instead of replacing it: what Alter does is not documented."""
    honours_version_without_scopes: bool = True
