"""A list of the open sockets of this process, for the live page; it is made at each request, and not kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

from compat.engine.connection import Connection
from compat.engine.draining import drain, on_its_loop
from compat.logs import about

__all__ = ["OpenSocket", "open_sockets", "report_sockets"]


@dataclass(frozen=True, slots=True)
class OpenSocket:
    """A socket of this process, or a resumable connection that waits for its client."""

    channel: str
    """Empty for a consumer without a channel layer."""
    consumer: str
    path: str
    user: str
    """The key of the user; empty for an anonymous one."""
    groups: Collection[str]
    """The names of its groups in the layer."""
    waiting: int
    """How many messages wait for its handlers, or how many frames for its client."""
    parked: bool
    """True while its client is away, and may come back."""
    close: Callable[[int], Awaitable[object]]
    """Closes it with a code; may be called on any event loop."""


_sources: list[Callable[[], Iterable[OpenSocket]]] = []


def report_sockets(source: Callable[[], Iterable[OpenSocket]]) -> None:
    """Register a function that returns the open sockets of other objects than consumers."""
    _sources.append(source)


def open_sockets() -> Iterator[OpenSocket]:
    """Yield the sockets of this process, without those that begin meanwhile."""
    for running in tuple(drain.open):
        if isinstance(running, Connection):
            yield _socket(running)
    for source in _sources:
        yield from source()


def _socket(connection: Connection) -> OpenSocket:
    inbox, subscription = connection.inbox, connection.subscription
    fields = about(connection.consumer, inbox.channel)
    groups: Collection[str] = inbox.groups
    if subscription is not None and subscription.pump is not None:
        groups = ()  # a layer that cannot push does not list the groups of a channel
    return OpenSocket(
        inbox.channel,
        fields["consumer"],
        _text(fields.get("path", "")),
        _text(fields.get("user", "")),
        groups,
        len(inbox.events) + (inbox.frame is not None),
        connection.is_parked(),
        lambda code: on_its_loop(inbox.loop, connection.close, code),
    )


def _text(name: str) -> str:
    """Return ``name`` without half surrogate pairs, which JSON cannot express."""
    return name.encode(errors="replace").decode()
