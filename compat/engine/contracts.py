"""The interfaces that the engine needs: of a consumer, of what runs its handlers, and of what a stop ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from compat.engine.cursors import Progress
from compat.engine.inbox import Inbox
from compat.types import Message, Scope

__all__ = [
    "AUTHENTICATES",
    "FRAMES_BEFORE",
    "MARK",
    "RESUMABLE_KEY",
    "SESSION_USER_KEY",
    "Consumer",
    "Resumed",
    "Running",
    "SyncHandlers",
    "Waiting",
    "Work",
    "concurrency_of",
]


class Consumer(Protocol):
    """The attributes and methods of a consumer that the engine uses."""

    scope: Scope
    channel_layer_alias: str | None
    channel_layer: Any
    channel_name: str
    concurrency: int
    base_send: Any
    _compat_own_send: Any
    _compat_own_call: Any
    _compat_socket: Any

    def _compat_find_layer(self) -> Any: ...

    def _compat_set_channel(self, name: str) -> None: ...

    def _compat_missing_layer(self) -> str: ...


def concurrency_of(consumer: Any) -> int:
    """Return how many handlers of ``consumer`` may run at once, as its class says.

    1 if the application uses the name ``concurrency`` for something else than a whole number.
    """
    own = getattr(type(consumer), "concurrency", 1)
    return own if isinstance(own, int) else 1


class SyncHandlers(Protocol):
    """The method of a consumer that a ``fast.bridge.Bridge`` calls."""

    _compat_own_call: Any

    def dispatch(self, message: Message) -> Any:
        """Handle ``message``, in a worker thread."""


class Work(Protocol):
    """Handlers and queued frames that may remain when a consumer's task has taken its last message."""

    async def flush(self) -> None:
        """Send the frames that handlers have queued, for ``CLOSE_TIMEOUT_S`` at most."""

    def write_rest(self) -> None:
        """Write the queued frames that can leave at once, before the server closes the socket."""

    async def idle(self) -> None:
        """Wait until no handler runs."""

    def progress(self) -> Progress:
        """Return how far the consumer has handled the messages that it has taken."""
        ...


FRAMES_BEFORE = "compat.frames_before"
"""The key of a future in a message between the frames of a sync consumer (``resume.delivery``): its result is
the number of frames before it.
"""
MARK = "\x10"
"""The first character of a control frame, for clients that may come back; their data frames double it."""
RESUMABLE_KEY = "compat.resumable"
"""The scope's key for the ``Resumed`` connection of a client that may come back."""
AUTHENTICATES = "compat_authenticates"
"""An attribute of consumer classes; True if their ``authenticator_class`` decides who may connect."""
SESSION_USER_KEY = "compat.session_user"
"""The scope's key for the user that its session names."""


class Resumed:
    """The connection of a client that may come back, in place of a single socket: ``compat.resume``.

    Its ``receive()`` waits only for a future of its own, and its ``send()`` never for a client that is away.
    """

    __slots__ = ()

    link: Any
    """The present socket (``resume.link.Link``), or None while the client is away.

    ``link.writes(text)`` sends a text and returns True if it can be framed here and leaves at once;
    ``link.failed(message, error)`` reports that a frame could not be written. ``link.let_write()`` makes the
    consumer's ``Socket`` write by itself, if nothing waits for the link.
    """

    journal: Any
    """The frames that are kept; ``journal.end`` is how many the consumer has sent so far."""

    def written_by(self, socket: Any) -> None:
        """Tell ``socket``, from now on, when it may write frames by itself (``Socket.frame_by``)."""

    def tell_by(self, notice: Callable[[str], None], *, drained: bool = False) -> None:
        """Call ``notice(type)`` when the client leaves ("compat.parked") and comes back ("compat.resumed").

        ``drained``: the drain of a stopping server closes the consumer.
        """
        raise NotImplementedError

    def follow(self, inbox: Inbox, progress: Callable[[], Progress]) -> None:
        """Follow which messages of ``inbox`` the consumer has handled, for the histories of its groups.

        ``progress()``: see ``Work``.
        """

    def show_people(self, layer: Any, inbox: Inbox, consumer: Any) -> None:
        """Let the client's page watch who is in the groups of ``inbox``, on a layer with presence."""

    async def rest(self) -> None:
        """Take no more messages of groups with histories; wait until the client has those that were taken.

        This takes ten seconds at most.
        """

    @property
    def parked(self) -> bool:
        """True while the client is away: no socket is attached."""
        raise NotImplementedError

    @property
    def here_since(self) -> float:
        """The loop's time of the client's last return; inf while it is away, -inf if it was never away."""
        raise NotImplementedError

    @property
    def protocol(self) -> Any:
        """The server's protocol of the socket, if frames can be batched for it, else None."""
        raise NotImplementedError

    async def delivered(self, within_s: float | None, count: int | None = None) -> bool:
        """Return True when the client has the first ``count`` frames (None: all that were sent so far)."""
        raise NotImplementedError


class Running(Protocol):
    """The methods of a running connection that a drain calls."""

    async def close(self, code: int) -> None:
        """Close it; call it on its event loop."""

    def cancel(self) -> None:
        """Cancel the consumer's task; call it on its event loop."""

    def is_parked(self) -> bool:
        """Return True while its client is away, and may come back."""
        ...

    def name(self) -> str: ...


class Waiting(Protocol):
    """An object with connections that the server waits for, but does not close."""

    def stop(self) -> float:
        """Call ``release()``, because a server begins to stop; keep no connection on its loop after that."""
        ...

    def release(self) -> float:
        """End the connections of the running event loop.

        Returns for how many seconds the server should leave its sockets open, unless ``is_finished()``.
        """
        ...

    def is_finished(self) -> bool:
        """Return True if the server of the running event loop need not leave a socket open any more."""
        ...

    def outliving(self) -> dict[asyncio.Future[None], str]:
        """Return the calls of applications on the running event loop that its server does not wait for.

        With the paths of their clients.
        """
        ...
