"""Random strings, comparisons that take constant time, keyed digests."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import string
from typing import Any

from ..unserved import NOT_A_PACKAGE, attribute_of
from .encoding import force_bytes

__all__ = [
    "RANDOM_STRING_CHARS",
    "InvalidAlgorithm",
    "constant_time_compare",
    "get_random_string",
    "salted_hmac",
]

__path__ = NOT_A_PACKAGE
__getattr__ = attribute_of(__name__)

RANDOM_STRING_CHARS = string.ascii_lowercase + string.ascii_uppercase + string.digits


class InvalidAlgorithm(ValueError):
    """hashlib does not know it."""


def get_random_string(length: int, allowed_chars: str = RANDOM_STRING_CHARS) -> str:
    """``length`` characters from the operating system's randomness (fit for keys and tokens)."""
    return "".join(secrets.choice(allowed_chars) for _ in range(length))


def constant_time_compare(val1: Any, val2: Any) -> bool:
    """Equality whose duration does not tell where the values differ."""
    return hmac.compare_digest(force_bytes(val1), force_bytes(val2))


def salted_hmac(
    key_salt: str | bytes, value: str | bytes, secret: str | bytes | None = None, *, algorithm: str = "sha1"
) -> hmac.HMAC:
    """The HMAC of ``value`` under a key made from the salt and ``secret`` (default: SECRET_KEY)."""
    if secret is None:
        from ..conf import settings

        secret = settings.SECRET_KEY
    if algorithm not in hashlib.algorithms_available:
        raise InvalidAlgorithm(f"hashlib has no {algorithm!r} here")
    key = hashlib.new(algorithm, force_bytes(key_salt) + force_bytes(secret)).digest()
    return hmac.new(key, msg=force_bytes(value), digestmod=algorithm)
