"""Who may publish: dependencies of FastAPI."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Depends
from fastapi.security import APIKeyHeader, HTTPBearer
from starlette.exceptions import HTTPException
from starlette.requests import Request

from compat.clock import wall
from compat.security.bearer import bears, secret_bytes
from compat.security.dependencies import makes_one

__all__ = ["UNAUTHORIZED", "bearer", "signed"]

UNAUTHORIZED = 401
# They show in the documents what the dependencies below ask for.
TOKEN = Depends(HTTPBearer(scheme_name="PublishToken", auto_error=False))
SIGNATURE = Depends(
    APIKeyHeader(
        name="webhook-signature",
        scheme_name="PublishSignature",
        description="As of Standard Webhooks, with the headers webhook-id and webhook-timestamp",
        auto_error=False,
    )
)
FEWEST_BYTES = 16
"""The least length of a secret that signs."""
OLDEST_S = 300
"""How far the time of a signature may be from this machine's, in seconds."""


@makes_one
def bearer(token: str) -> Callable[[Request], Awaitable[None]]:
    """Return a dependency that asks for ``Authorization: Bearer`` and ``token``, and answers others with 401.

    Raises ValueError for a token that is empty or not ASCII.
    """
    known = secret_bytes("bearer(token)", token)

    async def authenticate(request: Request, _shown: Any = TOKEN) -> None:
        if not bears(request, known):
            raise _unauthorized("The token is missing, or another one")

    return authenticate


@makes_one
def signed(secret: str) -> Callable[[Request], Awaitable[None]]:
    """Return a dependency that asks for a signature of the body, and answers others with 401.

    The headers are those of Standard Webhooks (standardwebhooks.com), for which most languages have a
    library: ``webhook-id``, ``webhook-timestamp`` (at most 5 minutes from now) and ``webhook-signature``.
    ``secret``: base64, ``whsec_`` may stand before it. Who records a request can repeat it for 5 minutes, so
    use TLS. Raises ValueError for a secret that is empty, short (under 16 bytes) or not base64.
    """
    try:
        key = base64.b64decode(secret_bytes("signed(secret)", secret).removeprefix(b"whsec_"), validate=True)
    except binascii.Error as error:
        raise ValueError(f"signed(secret): expected base64 ({error})") from error
    if len(key) < FEWEST_BYTES:
        raise ValueError(f"signed(secret): expected {FEWEST_BYTES} bytes or more, found {len(key)}")

    async def authenticate(request: Request, _shown: Any = SIGNATURE) -> None:
        names = ("webhook-id", "webhook-timestamp", "webhook-signature")
        number, at, signatures = (request.headers.get(name, "") for name in names)
        text = b".".join((number.encode(), at.encode(), await request.body()))
        right = base64.b64encode(hmac.digest(key, text, "sha256"))
        given = [one.partition(",") for one in signatures.split(" ")]
        if not any(version == "v1" and hmac.compare_digest(one.encode(), right) for version, _, one in given):
            raise _unauthorized("The signature is missing, or another one")
        if not number or not at.isdecimal() or abs(wall() - int(at[:20])) > OLDEST_S:
            raise _unauthorized(f"webhook-timestamp is not within {OLDEST_S} s of this server's time")

    return authenticate


def _unauthorized(why: str) -> HTTPException:
    return HTTPException(UNAUTHORIZED, why, {"WWW-Authenticate": 'Bearer realm="publish"'})
