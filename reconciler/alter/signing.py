"""Computes the signature headers of one request: pure, so time and nonce are parameters.

Source of the rules: the official client ``alter-sdk`` 0.29, ``client.py``. ``schemas/signing-vectors.json``
holds what that client sends for many inputs, and a contract test keeps file, client and this module together.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from hashlib import sha256
from urllib.parse import parse_qsl, unquote, urlencode

_CONTEXT = b"alter-signing-v1"

# Identity headers that the digest covers when they are present, in this order.
_IDENTITY_LABELS = (
    ("X-Alter-Caller", "caller"),
    ("X-Alter-Caller-Type", "caller-type"),
    ("X-Alter-Actor-ID", "actor-id"),
    ("X-Alter-Context", "actor-context"),
)


def derive_signing_key(api_key: bytes) -> bytes:
    """The key that signs: derived once, so that the API key itself need not be at hand."""
    return hmac.digest(api_key, _CONTEXT, "sha256")


def canonical_path(path_with_query: str) -> str:
    """The path as the server sees it after decoding, and the query in one order and one encoding."""
    path, _, query = path_with_query.partition("?")
    if not query:
        # The server drops a question mark that nothing follows.
        return unquote(path)
    pairs = sorted(parse_qsl(query, keep_blank_values=True, separator="&"))
    return f"{unquote(path)}?{urlencode(pairs)}"


def sign(
    signing_key: bytes,
    *,
    method: str,
    path_with_query: str,
    body: bytes,
    timestamp: int,
    nonce: str,
    identity: Mapping[str, str],
    constraints: str = "",
) -> dict[str, str]:
    """The headers that prove a request. ``timestamp`` in unix seconds, ``nonce`` as 32 hex digits.

    ``identity`` holds the caller headers that will be sent along; the digest covers them, so that nobody on
    the way can take them off. ``constraints`` are the only permissions that it
    may use, with commas between them.
    """
    content_hash = sha256(body).hexdigest()
    lines = [
        method.upper(),
        canonical_path(path_with_query),
        str(timestamp),
        nonce,
        content_hash,
        constraints,
    ]
    labelled = [f"{label}:{identity[name]}" for name, label in _IDENTITY_LABELS if identity.get(name)]
    digest = hmac.digest(signing_key, "\n".join(lines + labelled).encode(), "sha256").hex()
    headers = {
        "X-Alter-Timestamp": str(timestamp),
        "X-Alter-Nonce": nonce,
        "X-Alter-Content-SHA256": content_hash,
        "X-Alter-Signature": digest,
    }
    if labelled:
        headers["X-Alter-Signature-V2"] = digest
    if constraints:
        headers["X-Alter-Scope-Constraints"] = constraints
    return headers
