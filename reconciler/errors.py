"""Every failure that a user can see: its exit code, its stable code and what to do next.

Layers below the command line raise these and nothing else across their own borders; foreign exceptions are
translated once, at the edge, with ``raise … from exc``. ``cli/boundary.py`` turns them into one message.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from reconciler.key_shape import concealed


class ExitCode(IntEnum):
    """What a process ends with. 0 to 6 are those of the ``alter`` command line, ours begin at 10."""

    OK = 0
    ERROR = 1
    USAGE = 2
    AUTH = 3
    NOT_FOUND = 4
    CONFLICT = 5
    RATE_LIMIT = 6
    CHANGES = 10
    PARTIAL = 11
    REFUSED = 12
    STALE = 13
    SINK = 14
    INTERRUPTED = 130
    TERMINATED = 143


# When one run has several causes, or several runs are one, what needs a human soonest decides.
_GRAVEST_FIRST = (
    ExitCode.INTERRUPTED,
    ExitCode.TERMINATED,
    ExitCode.SINK,
    ExitCode.PARTIAL,
    ExitCode.REFUSED,
    ExitCode.STALE,
    ExitCode.AUTH,
    ExitCode.RATE_LIMIT,
    ExitCode.CONFLICT,
    ExitCode.NOT_FOUND,
    ExitCode.ERROR,
    ExitCode.CHANGES,
)


def gravest(codes: Iterable[ExitCode]) -> ExitCode:
    """The exit code of a run with these causes; ``OK`` when there are none."""
    present = set(codes) - {ExitCode.OK}
    unknown = ExitCode.ERROR if present else ExitCode.OK
    return next((code for code in _GRAVEST_FIRST if code in present), unknown)


def gravest_run(codes: Iterable[ExitCode]) -> ExitCode:
    """The exit code of several runs as one. When all that did not end well ended alike, it is theirs."""
    present = set(codes) - {ExitCode.OK}
    return present.pop() if len(present) == 1 else gravest(present)


class AlterSyncError(Exception):
    """A failure with a message for people, a code for programs and a hint on how to go on.

    ``retryable`` says that the same command may succeed later without any change by the user. What looks
    like a key is hidden here, once for every place that shows a failure: a server may quote one anywhere.
    """

    exit_code: ExitCode = ExitCode.ERROR
    code: str = "error"
    retryable: bool = False

    def __init__(self, message: str, *, hint: str = "", code: str = "") -> None:
        self.message: str = concealed(message)
        self.hint: str = concealed(hint)
        super().__init__(self.message)
        if code:
            self.code = code


class UsageError(AlterSyncError):
    """A flag, an argument or an environment variable that cannot be used as given."""

    exit_code = ExitCode.USAGE
    code = "usage"


class FileMissing(AlterSyncError):
    """A file that the user named is not there."""

    exit_code = ExitCode.NOT_FOUND
    code = "file_not_found"


class CredentialMissing(AlterSyncError):
    """No credential for the plane that the command needs."""

    exit_code = ExitCode.AUTH
    code = "no_credential"


class StalePlan(AlterSyncError):
    """A saved plan no longer fits the live state, the configuration or the app."""

    exit_code = ExitCode.STALE
    code = "stale_plan"


class Refused(AlterSyncError):
    """A guard refused everything that the command was asked to do."""

    exit_code = ExitCode.REFUSED
    code = "refused"


class SinkError(AlterSyncError):
    """A sink could not be reached, written or read back."""

    exit_code = ExitCode.SINK
    code = "sink_failed"


# Of a sink that keeps no earlier version, or another one than it should: trying again cannot help.
NO_WAY_BACK = "no_earlier_version"


class Interrupted(AlterSyncError):
    """The user or the system asked the process to stop."""

    exit_code = ExitCode.INTERRUPTED
    code = "interrupted"
    retryable = True


class ApiError(AlterSyncError):
    """The API answered with an error. ``status`` is the HTTP status, 0 when there was no answer."""

    code = "api_error"

    def __init__(self, message: str, *, status: int = 0, hint: str = "", code: str = "") -> None:
        super().__init__(message, hint=hint, code=code)
        self.status = status


class Unreachable(ApiError):
    """No usable answer: the request may or may not have been carried out.

    ``sent`` is false only when it certainly never left this machine.
    """

    code = "unreachable"
    retryable = True

    def __init__(
        self, message: str, *, status: int = 0, hint: str = "", code: str = "", sent: bool = True
    ) -> None:
        super().__init__(message, status=status, hint=hint, code=code)
        self.sent = sent


class BadAnswer(ApiError):
    """An answer that is not what the contract promises: not JSON, too large, or a required field missing."""

    code = "bad_answer"


class ServerFault(ApiError):
    """HTTP 500, 502, 503 or 504."""

    code = "server_fault"
    retryable = True


class AuthError(ApiError):
    """The credential was refused (401); ``code`` tells which of its states is why."""

    exit_code = ExitCode.AUTH
    code = "unauthorized"


class InsufficientScope(ApiError):
    """The key lacks a permission (403). ``any_of``: one of ``missing`` is enough."""

    exit_code = ExitCode.AUTH
    code = "insufficient_scope"

    def __init__(
        self,
        message: str,
        *,
        required: tuple[str, ...] = (),
        granted: tuple[str, ...] = (),
        missing: tuple[str, ...] = (),
        any_of: bool = False,
        status: int = 403,
        hint: str = "",
    ) -> None:
        super().__init__(message, status=status, hint=hint)
        self.required = required
        self.granted = granted
        self.missing = missing
        self.any_of = any_of


class NotFound(ApiError):
    """No such agent or key in this app (404)."""

    exit_code = ExitCode.NOT_FOUND
    code = "not_found"


class Conflict(ApiError):
    """The request does not fit the live state (409)."""

    exit_code = ExitCode.CONFLICT
    code = "conflict"


class ConcurrentUpdate(Conflict):
    """Somebody changed the agent since it was read."""

    code = "agent_concurrent_update"
    retryable = True


class NameExists(Conflict):
    """A non-revoked agent of that name is live already."""

    code = "agent_name_exists"


class LastActiveKey(Conflict):
    """Revoking this key would leave the agent with none."""

    code = "last_active_key"


class KeyLimitReached(Conflict):
    """The agent holds as many non-revoked keys as Alter allows."""

    code = "agent_key_limit_reached"


class CreatedUnmarked(ApiError):
    """An agent is live that a create of ours may have made, and nothing on it says so: a person decides."""

    code = "created_without_mark"


class IdempotencyConflict(Conflict):
    """An idempotency key was used before for something else, or for an agent that is gone."""

    code = "idempotency_conflict"


class RateLimited(ApiError):
    """HTTP 429 after the retries. ``retry_after_seconds`` is what the server asked for, if it did."""

    exit_code = ExitCode.RATE_LIMIT
    code = "rate_limit_exceeded"
    retryable = True

    def __init__(
        self,
        message: str,
        *,
        retry_after_seconds: float | None = None,
        scope: str = "",
        limit: int | None = None,
        window_seconds: int | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message, status=429, hint=hint)
        self.retry_after_seconds = retry_after_seconds
        self.scope = scope
        self.limit = limit
        self.window_seconds = window_seconds
