"""The sandbox's own verifier accepts every request of the vectors that the client is held to."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from reconciler.sandbox.answers import Refusal
from reconciler.sandbox.signature import SignatureVerifier, SignedRequest

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[3] / "schemas" / "signing-vectors.json").read_text()
)["vectors"]


def as_it_arrives(vector: dict[str, Any]) -> SignedRequest:
    path, _, query = httpx.URL("http://127.0.0.1" + vector["path"]).raw_path.decode("ascii").partition("?")
    headers = {**vector["identity"], **vector["headers"]}
    return SignedRequest(
        method=vector["method"].upper(),
        path=unquote(path),
        query=query,
        headers={name.lower(): value for name, value in headers.items()},
        body=vector["body"].encode(),
    )


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_a_vector_is_accepted_and_nothing_like_it(vector: dict[str, Any]) -> None:
    request = as_it_arrives(vector)

    def verifier() -> SignatureVerifier:
        return SignatureVerifier(skew_seconds=0, wall_clock=lambda: vector["timestamp"])

    verifier().verify(request, vector["api_key"])
    with pytest.raises(Refusal):
        verifier().verify(request, vector["api_key"][:-1] + "?")
    other = SignedRequest("OPTIONS", request.path, request.query, request.headers, request.body)
    with pytest.raises(Refusal):
        verifier().verify(other, vector["api_key"])
