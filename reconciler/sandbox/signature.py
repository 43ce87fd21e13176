"""Proof that a request was signed with the key it names, lately, and only once."""

import hashlib
import hmac
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from reconciler.sandbox.answers import Refusal

SIGNING_CONTEXT = b"alter-signing-v1"
_NONCE = re.compile(r"[0-9a-f]{32}")
_HEX_DIGEST = re.compile(r"[0-9a-f]{64}")
_SEEN_SWEEP_SIZE = 10_000

# Each identity header that is present adds one labelled line, in this order.
_LABELLED_HEADERS = (
    ("x-alter-request-rule", "request-rule"),
    ("x-alter-caller", "caller"),
    ("x-alter-caller-type", "caller-type"),
    ("x-alter-actor-id", "actor-id"),
    ("x-alter-context", "actor-context"),
)
IDENTITY_HEADERS = frozenset(name for name, label in _LABELLED_HEADERS if label != "request-rule")


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request as it arrived. Header names are lower-case; `path` is percent-decoded, `query` is raw."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


class SignatureVerifier:
    def __init__(self, *, skew_seconds: int, wall_clock: Callable[[], float] = time.time) -> None:
        self._skew_seconds = skew_seconds
        self._wall_clock = wall_clock
        self._nonce_expiry: dict[str, float] = {}

    def verify(self, request: SignedRequest, plaintext_key: str) -> None:
        """Raises Refusal 401, with a code that says what is wrong."""
        now = self._wall_clock()
        timestamp = self._checked_timestamp(request.headers, now)
        nonce = _required(request.headers, "x-alter-nonce")
        if not _NONCE.fullmatch(nonce):
            raise _refused("nonce_malformed", "X-Alter-Nonce must be 32 lower-case hexadecimal digits.")
        content_hash = _required(request.headers, "x-alter-content-sha256")
        if not _same(content_hash, hashlib.sha256(request.body).hexdigest()):
            raise _refused("content_hash_mismatch", "X-Alter-Content-SHA256 is not the digest of the body.")
        self._check_digests(request, plaintext_key, (timestamp, nonce, content_hash))
        # Remembered only now: a request nobody signed must not use up another one's nonce.
        self._remember(nonce, now)

    def _checked_timestamp(self, headers: Mapping[str, str], now: float) -> str:
        text = _required(headers, "x-alter-timestamp")
        if not (text.isascii() and text.isdigit() and len(text) <= 12):
            raise _refused("timestamp_malformed", "X-Alter-Timestamp must be unix seconds.")
        if abs(now - int(text)) > self._skew_seconds:
            raise _refused(
                "timestamp_out_of_range",
                f"X-Alter-Timestamp is more than {self._skew_seconds} s away from the server's clock.",
                hint="Synchronise the clock of this machine, and sign every attempt anew.",
            )
        return text

    def _check_digests(
        self, request: SignedRequest, plaintext_key: str, signed_parts: tuple[str, str, str]
    ) -> None:
        signature = _required(request.headers, "x-alter-signature")
        signing_key = hmac.digest(plaintext_key.encode(), SIGNING_CONTEXT, "sha256")
        expected = hmac.new(signing_key, string_to_sign(request, signed_parts).encode(), "sha256").hexdigest()
        second = request.headers.get("x-alter-signature-v2")
        if second is None and any(request.headers.get(name) for name in IDENTITY_HEADERS):
            raise _refused(
                "missing_signature_header", "X-Alter-Signature-V2 is required with identity headers."
            )
        if not _HEX_DIGEST.fullmatch(signature) or not _same(signature, expected):
            raise _refused("invalid_signature", "X-Alter-Signature does not fit the request.")
        if second is not None and not _same(second, expected):
            raise _refused("invalid_signature", "X-Alter-Signature-V2 does not fit the request.")

    def _remember(self, nonce: str, now: float) -> None:
        expiry = self._nonce_expiry.get(nonce)
        if expiry is not None and expiry >= now:
            raise _refused("nonce_reused", "X-Alter-Nonce was used before.", hint="Sign every attempt anew.")
        if len(self._nonce_expiry) >= _SEEN_SWEEP_SIZE:
            self._nonce_expiry = {seen: until for seen, until in self._nonce_expiry.items() if until >= now}
        # A timestamp may lie up to one skew ahead, so it stays acceptable for two.
        self._nonce_expiry[nonce] = now + 2 * self._skew_seconds


def string_to_sign(request: SignedRequest, signed_parts: tuple[str, str, str]) -> str:
    """`signed_parts` are timestamp, nonce and content hash, as sent."""
    constraints = request.headers.get("x-alter-scope-constraints", "")
    path = request.path
    if request.query:
        pairs = parse_qsl(request.query, keep_blank_values=True)
        path = f"{path}?{urlencode(sorted(pairs))}"
    lines = [request.method.upper(), path, *signed_parts, constraints]
    for name, label in _LABELLED_HEADERS:
        value = request.headers.get(name)
        if value:
            lines.append(f"{label}:{value}")
    return "\n".join(lines)


def _required(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name)
    if not value:
        raise _refused("missing_signature_header", f"The header {name} is required.")
    return value


def _same(left: str, right: str) -> bool:
    return hmac.compare_digest(left.encode(), right.encode())


def _refused(code: str, message: str, *, hint: str | None = None) -> Refusal:
    return Refusal(401, code, message=message, hint=hint)
