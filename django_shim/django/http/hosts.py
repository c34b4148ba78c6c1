"""The Host header against ALLOWED_HOSTS."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..utils.http import is_same_domain

__all__ = ["split_domain_port", "validate_host"]

_HOST = re.compile(r"([a-z0-9.-]+|\[[a-f0-9]*:[a-f0-9.:]+\])(?::([0-9]+))?")


def split_domain_port(host: str) -> tuple[str, str]:
    """Return ``"Example.com:80"`` as ``("example.com", "80")``; two empty strings for what is no host."""
    match = _HOST.fullmatch(host.lower())
    if match is None:
        return "", ""
    return match[1].removesuffix("."), match[2] or ""


def validate_host(host: str, allowed_hosts: Iterable[str]) -> bool:
    """Does one of the patterns allow ``host``? ``*`` allows any, ``.example.com`` the domain and what is
    below.
    """
    return any(pattern == "*" or is_same_domain(host, pattern) for pattern in allowed_hosts)
