"""HTTP's own formats: dates, query strings, safe redirect targets."""

from __future__ import annotations

import email.utils
import time
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote, urlsplit
from urllib.parse import urlencode as _urlencode

__all__ = [
    "content_disposition_header",
    "http_date",
    "is_same_domain",
    "parse_http_date",
    "parse_http_date_safe",
    "url_has_allowed_host_and_scheme",
    "urlencode",
]


def urlencode(query: Any, doseq: bool = False) -> str:
    """As the standard library's, and understands QueryDict (``lists``); None is refused with its key."""
    if hasattr(query, "lists"):
        query, doseq = list(query.lists()), True
    pairs: Iterable[tuple[Any, Any]] = query.items() if isinstance(query, Mapping) else query
    checked: list[tuple[Any, Any]] = []
    for key, value in pairs:
        if value is None:
            raise TypeError(
                f"the parameter {key!r} is None, which a query string cannot say: leave it out, or pass ''"
            )
        listed = doseq and not isinstance(value, (str, bytes)) and hasattr(value, "__iter__")
        checked.append((key, list(value) if listed else value))
    return _urlencode(checked, doseq)


def http_date(epoch_seconds: float | None = None) -> str:
    """Seconds since 1970 (default: now) as an RFC 9110 date: ``Wed, 09 Nov 1994 08:49:37 GMT``."""
    return email.utils.formatdate(time.time() if epoch_seconds is None else epoch_seconds, usegmt=True)


def parse_http_date(date: str) -> int:
    """Seconds since 1970 of any of the three date forms of RFC 9110; ValueError for anything else."""
    for form in ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y"):
        try:
            return int(datetime.strptime(date, form).replace(tzinfo=timezone.utc).timestamp())
        except ValueError:
            continue
    raise ValueError(f"{date!r} is no date as HTTP writes them")


def parse_http_date_safe(date: str) -> int | None:
    """As ``parse_http_date``, with None for what is not a date."""
    try:
        return parse_http_date(date)
    except ValueError:
        return None


def is_same_domain(host: str, pattern: str) -> bool:
    """Does ``host`` fit ``pattern``? ``.example.com`` fits the domain and everything below it."""
    pattern = pattern.lower()
    if not pattern:
        return False
    if pattern.startswith("."):
        return host.endswith(pattern) or host == pattern[1:]
    return host == pattern


def url_has_allowed_host_and_scheme(url: str | None, allowed_hosts: Any, require_https: bool = False) -> bool:
    """May one redirect to ``url``? A path of this site, or http(s) to one of ``allowed_hosts``."""
    url = (url or "").strip()
    if not url:
        return False
    hosts: set[str] = {allowed_hosts} if isinstance(allowed_hosts, str) else set(allowed_hosts or ())
    # Browsers read "\" as "/": both readings have to be harmless.
    return _is_safe(url, hosts, require_https) and _is_safe(url.replace("\\", "/"), hosts, require_https)


def _is_safe(url: str, hosts: set[str], require_https: bool) -> bool:
    # Browsers drop control and format characters in front, and then see another URL.
    if len(url) > 2048 or url.startswith("///") or unicodedata.category(url[0])[0] == "C":
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    if parts.scheme and not parts.netloc:
        return False  # "javascript:…", "http:///…"
    scheme = "http" if parts.netloc and not parts.scheme else parts.scheme
    schemes = {"https"} if require_https else {"http", "https"}
    return (not parts.netloc or parts.netloc in hosts) and (not scheme or scheme in schemes)


def content_disposition_header(as_attachment: bool, filename: str) -> str | None:
    """Return the header's value for a file of that name (RFC 6266), or None when there is nothing to say."""
    kind = "attachment" if as_attachment else "inline"
    if not filename:
        return "attachment" if as_attachment else None
    if filename.isascii() and filename.isprintable():
        quoted = filename.replace("\\", "\\\\").replace('"', '\\"')
        return f'{kind}; filename="{quoted}"'
    return f"{kind}; filename*=utf-8''{quote(filename)}"
