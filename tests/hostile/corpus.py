"""The kinds of entries, and the whole corpus."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from tests.hostile.payloads import Target

__all__ = [
    "BELOW_500",
    "Entry",
    "Frames",
    "Handshake",
    "Payload",
    "Request",
    "handshake",
    "http",
    "named",
]

BELOW_500: Collection[int] = range(100, 500)
HANGS_UP = 0
"""In `statuses`: the server may close the connection without an answer."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One finding."""

    name: str
    once: str
    """What it did when it was found, or what it tries."""
    xfail: str = ""
    """Why it is not mended yet."""
    heavy: bool = False
    """Takes long: left out of the second pass that looks at memory, and not run while it is an xfail."""
    abandoned: bool = False
    """The client leaves as soon as it has sent, for the server may wait for more."""


@dataclass(frozen=True, kw_only=True)
class Request(Entry):
    """Bytes of an HTTP connection, or of several; the first status on each is what counts."""

    data: Callable[[], bytes | Sequence[bytes]]
    statuses: Collection[int] = BELOW_500
    debug: bool = False
    """Sent to the site with DEBUG on as well."""
    logs: Sequence[str] = ()
    """Errors that the log may show: what the application itself raises."""


@dataclass(frozen=True, kw_only=True)
class Handshake(Entry):
    """Bytes of one handshake."""

    data: Callable[[], bytes]
    statuses: Collection[int] = (HANGS_UP, *BELOW_500)


@dataclass(frozen=True, kw_only=True)
class Frames(Entry):
    """Bytes that follow a handshake, on each of `paths`; the server answers, closes or hangs up."""

    paths: Sequence[str]
    data: Callable[[], bytes]
    logs: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Payload(Entry):
    """What is written into Redis behind a layer's back; `layers` are the aliases that it is for."""

    write: Callable[[Target], None]
    layers: Sequence[str]


E_ = TypeVar("E_", bound=Entry)


def named(entries: Iterable[E_]) -> list[E_]:
    """The entries, whose names must differ."""
    listed = list(entries)
    names = [entry.name for entry in listed]
    twice = {name for name in names if names.count(name) > 1}
    assert not twice, f"names of the corpus must differ: {sorted(twice)}"
    return listed


def http(
    method: str | bytes,
    target: str | bytes,
    *lines: str | bytes,
    body: bytes = b"",
    length: int | None = None,
    host: str = "localhost",
) -> bytes:
    """An HTTP/1.1 request that asks for the end of the connection; `lines` are headers as they are."""
    head = [_bytes(method) + b" " + _bytes(target) + b" HTTP/1.1"]
    if host:
        head.append(b"Host: " + host.encode())
    head += [_bytes(line) for line in lines]
    if (body or length is not None) and not any(b"chunked" in line.lower() for line in head):
        head.append(b"Content-Length: %d" % (len(body) if length is None else length))
    return b"\r\n".join([*head, b"Connection: close", b"", b""]) + body


def handshake(target: str | bytes, *lines: str | bytes, origin: str = "http://localhost") -> bytes:
    """A websocket handshake; `lines` are further headers as they are."""
    head = [
        b"GET " + _bytes(target) + b" HTTP/1.1",
        b"Host: localhost",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        b"Sec-WebSocket-Version: 13",
        *([b"Origin: " + origin.encode()] if origin else []),
        *(_bytes(line) for line in lines),
    ]
    return b"\r\n".join([*head, b"", b""])


def _bytes(text: str | bytes) -> bytes:
    return text.encode("latin-1") if isinstance(text, str) else text
