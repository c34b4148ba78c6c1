"""Secrets that services send: ``Authorization: Bearer`` and a token."""

from __future__ import annotations

import hmac

from starlette.requests import Request

__all__ = ["bears", "secret_bytes"]


def secret_bytes(whose: str, text: object) -> bytes:
    """Return a secret without the white space around it, such as the newline at the end of a file.

    Raises ValueError, which begins with ``whose``, for one that is empty or not ASCII.
    """
    found = text.strip() if isinstance(text, str) else ""
    if not found or not found.isascii():
        raise ValueError(
            f"{whose}: expected a secret of ASCII characters, and not an empty one; is the variable set from "
            "which it comes?"
        )
    return found.encode()


def bears(request: Request, token: bytes) -> bool:
    """Return True if the request has the header ``Authorization: Bearer`` with this token."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode("latin-1"), token)
