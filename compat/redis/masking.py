"""Values of the configuration in messages and log lines, without the passwords in them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["masked", "safe_repr", "without_passwords"]

SECRET = re.compile("pass|pasw|pwd|auth|token|credential|encryption|secret", re.IGNORECASE)
SHOWN = re.compile(
    "db|protocol|path|timeout|max_connections|client_name|decode_responses|encoding|health_check_interval"
    "|retry_on_[a-z]+|socket_[a-z_]+|ssl_(?!password)[a-z_]+",
    re.IGNORECASE,
)
"""The options of a URL whose values are no secrets; an unknown name may be meant for the password."""
SCHEME = re.compile(r"(?:[a-z][a-z0-9+.-]*://|(?:rediss?|unix):/)?", re.IGNORECASE)
"""Where a URL begins, also one with a slash too few."""
OPTION = re.compile(r"([?&])([^=&]*)=([^&]*)")


def safe_repr(value: Any) -> str:
    """Return ``repr(value)`` without the passwords of URLs and behind ports, and without values whose names
    are of secrets.
    """
    if isinstance(value, (str, bytes)):
        return repr(masked(value))
    if isinstance(value, Mapping):
        shown = (
            f"{key!r}: {repr('***') if SECRET.search(str(key)) else safe_repr(one)}"
            for key, one in value.items()
        )
        return f"{{{', '.join(shown)}}}"
    if isinstance(value, (list, tuple)):
        parts = [safe_repr(one) for one in value]
        if _is_pair(value[:2]):  # whoever writes more than a host and a port means the password
            parts[2:] = [repr("***")] * len(parts[2:])
        if isinstance(value, list):
            return f"[{', '.join(parts)}]"
        return f"({', '.join(parts)}{',' * (len(parts) == 1)})"
    return masked(repr(value))  # whatever it is, such as a set


def _is_pair(value: Sequence[Any]) -> bool:
    return len(value) == 2 and isinstance(value[0], str) and str(value[1]).isdecimal()


def masked(url: str | bytes) -> str:
    """Return a URL without its passwords: that of the user, and those among the options.

    A login without a colon may be a password too.
    """
    text = url.decode(errors="replace") if isinstance(url, bytes) else url
    begin = SCHEME.match(text)
    scheme = begin[0] if begin else ""
    login, at, address = text[len(scheme) :].rpartition("@")
    user, colon, _ = login.partition(":")
    return f"{scheme}{user if colon else ''}{colon}{'***' if at else ''}{at}{OPTION.sub(_option, address)}"


def _option(found: re.Match[str]) -> str:
    shown = found[3] if SHOWN.fullmatch(found[2]) else "***"
    return f"{found[1]}{found[2]}={shown}"


def without_passwords(hosts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the hosts of ``decode_hosts`` for a message or a log line."""
    return [
        {name: _shown(name, value) for name, value in host.items() if name != "sentinel_kwargs"}
        for host in hosts
    ]


def _shown(name: str, value: Any) -> Any:
    if name == "cluster":
        return [masked(node) if isinstance(node, str) else node for node in value]
    return masked(value) if name == "address" else "***" if "password" in name else value
