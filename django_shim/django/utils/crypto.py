"""Random strings, and comparisons that take constant time."""

from __future__ import annotations

import hmac
import secrets
import string
from typing import Any

from .encoding import force_bytes

__all__ = [
    "RANDOM_STRING_CHARS",
    "constant_time_compare",
    "get_random_string",
]


RANDOM_STRING_CHARS = string.ascii_lowercase + string.ascii_uppercase + string.digits


def get_random_string(length: int, allowed_chars: str = RANDOM_STRING_CHARS) -> str:
    """``length`` characters from the operating system's randomness (fit for keys and tokens)."""
    return "".join(secrets.choice(allowed_chars) for _ in range(length))


def constant_time_compare(val1: Any, val2: Any) -> bool:
    """Equality whose duration does not tell where the values differ."""
    return hmac.compare_digest(force_bytes(val1), force_bytes(val2))
