"""The client of AWS Secrets Manager: made once, silent, bounded in time, with failures told in words."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any
from urllib.parse import unquote

from reconciler.errors import SinkError
from reconciler.model.desired import SinkRef
from reconciler.model.secret import Secret

_CODE = re.compile(r"[A-Za-z0-9]{1,60}")
# Three attempts of 8 s and the pauses between them, six calls at most: 162 s when everything goes wrong.
_TIMES = {"connect_timeout": 3, "read_timeout": 5, "retries": {"mode": "standard", "total_max_attempts": 3}}
_CONNECTIONS = 32  # one for each thread

_ALLOW = (
    "allow secretsmanager: DescribeSecret, GetSecretValue, CreateSecret, PutSecretValue, TagResource, "
    "UpdateSecretVersionStage; with a KMS key of your own also kms: Decrypt, GenerateDataKey"
)
_NETWORK = "check `region`, `endpoint_url` and the network"
# What error codes and names of exceptions mean, and what to do: the first that is found counts. The words of
# a server are never shown, for a proxy may quote the request in them.
_FAILURES = (
    ("Expired|SSO|TokenRetrieval", "the login has expired", "log in again, or renew AWS_SESSION_TOKEN"),
    ("AccessDenied|Unauthorized", "AWS does not allow it", _ALLOW),
    (
        "Credential|AuthToken",
        "there are no credentials",
        "set `profile`, or AWS_ACCESS_KEY_ID and its secret",
    ),
    ("Unrecognized|Token|Signature", "the credentials are refused", "check them, and this machine's clock"),
    ("Profile|Config", "the profile cannot be read", "check `profile` and ~/.aws/config"),
    ("NoRegion|InvalidRegion", "there is no usable region", "set `region`, or AWS_REGION"),
    ("Thrott|TooMany|Limit", "AWS takes no more for now", "run the command again later; see Service Quotas"),
    ("cryptionFailure", "its KMS key does not work", "enable that key; allow kms: Decrypt, GenerateDataKey"),
    ("NotFound|Exists", "somebody changes it at this moment", "run the command again"),
    ("Timeout", "there is no answer in time", _NETWORK),
    ("SSL", "the connection is not safe", "check AWS_CA_BUNDLE, proxies and `endpoint_url`"),
    ("Proxy|Connection|HTTPClient|UnknownEndpoint|Streaming", "there is no connection", _NETWORK),
    ("ValueError", "that is no address", "correct `region` and `endpoint_url`"),
    ("Invalid|Validation", "the secret does not take it", "see if it is a replica, managed, or full of tags"),
    ("^5|Internal|Unavailable", "the service is out of order", "run the command again later"),
    ("", "that is no answer of AWS Secrets Manager", "check `endpoint_url` and proxies"),
)


def lazy_client(ref: SinkRef) -> Callable[[], Any]:
    """Gives the one client of a sink, made at its first use; refuses when the library is missing."""
    get = ref.settings.get
    try:
        import boto3
        from botocore.config import Config
    except ImportError as exc:
        what = f"sink {ref.name!r} needs the library boto3, which is not installed"
        raise SinkError(what, hint="pip install 'alter-sync[aws]'") from exc
    lock, made = Lock(), list[Any]()  # sessions are not safe for threads, clients are

    def client() -> Any:
        with lock:
            if not made:
                session = boto3.Session(
                    profile_name=get("profile") or None, region_name=get("region") or None
                )
                config = Config(**_TIMES, max_pool_connections=_CONNECTIONS)
                endpoint = get("endpoint_url") or None
                made.append(session.client("secretsmanager", config=config, endpoint_url=endpoint))
                _silence_botocore()
            return made[0]

    return client


def attempt(client: Callable[[], Any], operation: str, values: Mapping[str, Any]) -> dict[str, Any] | str:
    """An answer, or the name of what went wrong: exceptions and answers of boto3 hold plaintexts."""
    try:
        call = getattr(client(), operation)
        answer = call(**{n: v.reveal() if isinstance(v, Secret) else v for n, v in values.items()})
        # A page of a proxy with status 200 is an empty answer to boto3.
        if "RequestId" not in answer["ResponseMetadata"] or not (
            "ARN" in answer or operation == "tag_resource"
        ):
            return "NoSuchAnswer"
        answer.pop("SecretBinary", None)
        return {
            n: Secret(v) if n == "SecretString" and v and isinstance(v, str) else v for n, v in answer.items()
        }
    except Exception as exc:
        response = getattr(exc, "response", None)
        code = str(response["Error"]["Code"]) if isinstance(response, dict) else type(exc).__name__
        return code if _CODE.fullmatch(code) else "NoSuchAnswer"


def explained_failure(name: str) -> tuple[str, str]:
    """What the name of a failure means, and what to do."""
    what, hint = next(rest for pattern, *rest in _FAILURES if re.search(pattern, name))
    return what, hint


def _silence_botocore() -> None:
    """Its loggers write whole requests at DEBUG, with the key and the session token: none may speak."""
    logging.getLogger("botocore").setLevel(logging.CRITICAL)
    for name in [*logging.root.manager.loggerDict]:
        if name.partition(".")[0] in {"boto3", "botocore"}:
            logging.getLogger(name).disabled = True


def escaped(text: str) -> str:
    """A text for a tag, which takes letters, digits and a few signs; ``=XX`` is any other byte."""
    kept = "+-._:/@ "
    return "".join(
        c if c.isalnum() or c in kept else "".join(f"={b:02X}" for b in c.encode(errors="replace"))
        for c in text
    )


def unescaped(text: str) -> str:
    return unquote(text.replace("=", "%"))
