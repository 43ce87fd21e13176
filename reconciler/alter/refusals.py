"""Turns an unsuccessful answer into the error that it stands for, by its code and its status."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from reconciler import errors
from reconciler.alter.answers import Answer, clean_text, count_of, parse_json, retry_after_seconds
from reconciler.model.secret import KEY_SHAPE
from reconciler.model.values import Json

_MAX_CLOCK_SKEW_SECONDS = 60
_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")

# The codes are those of 2-alter-api and of the official client; the same code can mean a refused credential
# with one status and a conflict with another (``key_revoked``), so the status decides first.
_AUTH_CODES = frozenset(
    {
        "invalid_key",
        "key_revoked",
        "key_expired",
        "key_rotated_grace_expired",
        "key_not_active",
        "app_not_found_for_key",
        "agent_inactive",
        "agent_revoked",
        "caller_agent_mismatch",
        "me_requires_agent_key",
        "agent_cannot_mint_subagents",
    }
)
_NOT_FOUND_CODES = frozenset({"agent_not_found", "key_not_found", "caller_agent_unresolved"})
CONFLICTS: Mapping[str, type[errors.Conflict]] = {
    "agent_name_exists": errors.NameExists,
    "agent_concurrent_update": errors.ConcurrentUpdate,
    "last_active_key": errors.LastActiveKey,
    "agent_key_limit_reached": errors.KeyLimitReached,
    "idempotency_key_body_mismatch": errors.IdempotencyConflict,
    "idempotency_key_agent_revoked": errors.IdempotencyConflict,
    "idempotency_key_agent_inactive": errors.IdempotencyConflict,
}
_FAULT_STATUSES = frozenset({500, 502, 503, 504})

# The server's own hints speak to users of its client, so ours go first where we have one.
_HINTS = {
    "agent_cannot_mint_subagents": "an agent key was used; use the app's runtime key (alter_rk_…)",
    "me_requires_agent_key": "check the base URL; this program never asks that",
    "last_active_key": "mint a new key, deliver it, and only then revoke this one",
    "agent_key_limit_reached": "revoke a key that this agent no longer uses",
    "agent_concurrent_update": "plan again and look at what changed",
    "invalid_key": "check the API key, and that it belongs to this server",
    "key_expired": "use another API key; this one has expired",
    "key_rotated_grace_expired": "use the API key that replaced this one",
    "key_not_active": "use another API key, or have this one activated",
}
_LIMITED = "wait a minute and try again; other runs may use up the limit of this key"
_UNCLEAR = "check in this order: this machine's clock, the path of the base URL, the API key"


class Unavailable(errors.ServerFault):
    """A fault of the server that may say, in seconds, when to come back."""

    def __init__(self, message: str, *, status: int, hint: str, code: str, retry_after: int | None) -> None:
        super().__init__(message, status=status, hint=hint, code=code)
        self.retry_after_seconds = retry_after


def refusal(answer: Answer, *, route: str, now: datetime, conceal: Callable[[str], str]) -> errors.ApiError:
    """The error for an answer that is no success. ``conceal`` takes our API key out of a text."""
    try:
        parsed = parse_json(answer.body)
    except ValueError:
        parsed = None
    details = unwrapped(parsed)
    code = details.get("error")
    return _Refusal(
        answer=answer,
        route=route,
        now=now,
        conceal=conceal,
        details=details,
        is_json=isinstance(parsed, dict),
        code=code if isinstance(code, str) and _CODE.fullmatch(code) and not KEY_SHAPE.search(code) else "",
    ).error()


@dataclass(frozen=True, slots=True)
class _Refusal:
    answer: Answer
    route: str
    now: datetime
    conceal: Callable[[str], str]
    details: Mapping[str, Json]
    is_json: bool
    code: str

    def error(self) -> errors.ApiError:
        status, code = self.answer.status, self.code
        if 300 <= status < 400:
            return self._redirected()
        if code == "insufficient_scope":
            return self._insufficient_scope()
        if status == 429:
            return self._rate_limited()
        if status == 409:
            kind = CONFLICTS.get(code, errors.Conflict)
            return kind(self._message(), status=status, hint=self._hint(), code=code)
        if status == 404 and code in _NOT_FOUND_CODES:
            return errors.NotFound(self._message(), status=status, hint=self._hint(), code=code)
        if status == 401 or code in _AUTH_CODES or (status == 403 and self.is_json):
            return errors.AuthError(self._message(), status=status, hint=self._auth_hint(), code=code)
        if status in _FAULT_STATUSES:
            wait = self._wait()
            hint = self._hint() or ("" if wait is None else f"try again in {wait} s")
            return Unavailable(self._message(), status=status, hint=hint, code=code, retry_after=wait)
        return self._other()

    def _other(self) -> errors.ApiError:
        status, code, hint = self.answer.status, self.code, self._hint()
        if status == 422:
            return errors.ApiError(self._message(), status=status, hint=hint, code=code or "validation_error")
        if not hint and status in (403, 404, 405):
            # 404 without one of the known codes is not about an agent: this is not Alter, or not its root.
            hint = "check the base URL, and what stands between here and Alter"
        return errors.ApiError(self._message(), status=status, hint=hint, code=code)

    def _redirected(self) -> errors.ApiError:
        location = re.fullmatch(
            r"(?:[a-z]+:)?//(?:[^/?#]*@)?([^/?#]+).*", self.answer.headers.get("location", "")
        )
        place = f" to {self._clean(location[1])}" if location else ""
        return errors.ApiError(
            f"{self.route}: the server redirects{place} (HTTP {self.answer.status}), credentials do not",
            status=self.answer.status,
            hint="set the base URL to the address that answers itself",
            code="redirected",
        )

    def _insufficient_scope(self) -> errors.ApiError:
        required = self._texts("required")
        missing = self._texts("missing") or required
        any_of = self.details.get("required_any_of") is True
        wanted = (" or " if any_of else ", ").join(missing)
        return errors.InsufficientScope(
            self._message(),
            required=required,
            granted=self._texts("granted"),
            missing=missing,
            any_of=any_of,
            status=self.answer.status,
            hint=f"the API key lacks the permission {wanted}" if wanted else self._hint(),
        )

    def _rate_limited(self) -> errors.ApiError:
        scope = self.details.get("scope")
        wait = self._wait()
        return errors.RateLimited(
            self._message(),
            retry_after_seconds=wait,
            scope=self._clean(scope) if isinstance(scope, str) else "",
            limit=count_of(self.details.get("limit")),
            window_seconds=count_of(self.details.get("window_seconds")),
            hint=(self._hint() or _LIMITED) if wait is None else f"try again in {wait} s",
        )

    def _wait(self) -> int | None:
        return retry_after_seconds(self.answer.headers.get("retry-after"), self.details.get("retry_after"))

    def _auth_hint(self) -> str:
        ahead = _seconds_ahead(self.answer.headers.get("date", ""), self.now)
        if self.answer.status != 401 or abs(ahead) <= _MAX_CLOCK_SKEW_SECONDS:
            # A code that we do not know is more often about the signature than about the key.
            is_unclear = self.answer.status == 401 and self.code not in _AUTH_CODES
            return self._hint() or (_UNCLEAR if is_unclear else "")
        way = "ahead" if ahead > 0 else "behind"
        return f"this machine's clock is {abs(ahead):.0f} s {way}, and signed requests need the right time"

    def _message(self) -> str:
        detail = self.details.get("detail")
        # Instead of a code some put a sentence there.
        said = self.details.get("message") or detail or self.details.get("error")
        text = "; ".join(_field_faults(detail)) or (said if isinstance(said, str) else "")
        reason = self._clean(text) or self.code or f"no reason given, {self.answer.body_kind}"
        return f"{self.route}: {reason} (HTTP {self.answer.status})"

    def _hint(self) -> str:
        if "narrowing" in self.code:
            # No published name for this one: older deployments refuse to take scopes away.
            return (
                "this deployment cannot remove scopes over the API; upgrade it, or remove them in its portal"
            )
        said = self.details.get("hint")
        return _HINTS.get(self.code, "") or (self._clean(said) if isinstance(said, str) else "")

    def _texts(self, name: str) -> tuple[str, ...]:
        values = self.details.get(name)
        listed = values if isinstance(values, list) else []
        return tuple(self._clean(value) for value in listed if isinstance(value, str))

    def _clean(self, text: str) -> str:
        return clean_text(text, conceal=self.conceal)


def unwrapped(parsed: Json) -> Mapping[str, Json]:
    """The error document, also when a server has put it into another one."""
    document = parsed if isinstance(parsed, dict) else {}
    # What a dependency of the server raises arrives one level down.
    detail = document.get("detail")
    return detail if isinstance(detail, dict) else document


def _field_faults(detail: Json) -> list[str]:
    faults = []
    for entry in detail if isinstance(detail, list) else ():
        if isinstance(entry, dict):
            location = entry.get("loc")
            where = ".".join(map(str, location)) if isinstance(location, list) else ""
            faults.append(f"{where or 'request'}: {entry.get('msg', 'invalid')}")
    return faults


def _seconds_ahead(date_header: str, now: datetime) -> float:
    try:
        theirs = parsedate_to_datetime(date_header)
    except (ValueError, LookupError, TypeError, OverflowError):
        return 0.0
    return (now - (theirs if theirs.tzinfo else theirs.replace(tzinfo=UTC))).total_seconds()
