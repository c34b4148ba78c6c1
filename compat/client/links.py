"""Links on the library websockets, and the world of a client: time, chance, and who opens its links."""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from compat import clock
from compat.client.frames import Closed, Frame
from compat.client.timing import REDIRECTS, Unsent
from compat.codes import ABNORMAL

try:
    from websockets.asyncio.client import ClientConnection, connect
    from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
    from websockets.headers import build_host
    from websockets.typing import Subprotocol
    from websockets.uri import parse_uri
except ModuleNotFoundError as error:
    if error.name is None or not error.name.startswith("websockets"):
        raise
    raise ImportError(
        "compat.client needs websockets 13 or newer. Install it with: pip install 'channels-compat[client]'"
    ) from error

__all__ = ["Link", "Refused", "WebsocketLink", "World", "check_url", "origin_of"]

MAX_FRAME_BYTES = 16 * 1024 * 1024
PART = 32 * 1024
"""Characters or bytes: a larger frame is written in parts, so that one sees how far it is."""
CLOSE_SECONDS = 3.0
OUR_OWN_ENDS = (1002, 1003, 1007, 1009, 1010)
"""Close codes with which this side ends a link because of what the server has sent."""

logger = logging.getLogger("compat.client.links")
# At DEBUG websockets logs the headers and frames that have the tickets.
logger.setLevel(logging.INFO)


class Refused(Closed):
    """The handshake was refused with ``status``; the reason is such as "HTTP 403", and names the ``target``
    of a redirect."""

    def __init__(self, status: int, target: str = "") -> None:
        super().__init__(ABNORMAL, f"HTTP {status}{f', a redirect to {target}' if target else ''}")
        self.status = status


def check_url(url: str) -> None:
    """Raise ValueError if ``url`` is not that of a websocket."""
    try:
        parse_uri(url)
    except (InvalidURI, ValueError) as error:
        raise ValueError(f"{url!r}: {error}; the URL of a websocket begins with ws:// or wss://") from error


def origin_of(url: str) -> str:
    """Return what a page of the server at ``url`` sends as Origin, such as ``http://127.0.0.1:8000``."""
    uri = parse_uri(url)
    return f"{'https' if uri.secure else 'http'}://{build_host(uri.host, uri.port, uri.secure)}"


class Link(Protocol):
    """An open websocket."""

    @property
    def subprotocol(self) -> str | None:
        """The one that the server has chosen."""
        ...

    @property
    def unsent(self) -> Unsent:
        """What was written and has yet to leave."""
        ...

    async def receive(self) -> Frame:
        """Return the next frame; raise Closed at the end."""
        ...

    async def send(self, frame: Frame) -> None:
        """Write a frame, and wait while the peer does not read; raise Closed."""
        ...

    async def ping(self) -> None:
        """Ask the peer for a sign of life, and wait for it; raise Closed."""
        ...

    async def close(self, code: int, reason: str) -> None:
        """Say goodbye, and wait for the end, for some seconds at most."""
        ...

    def leave(self) -> None:
        """End the link at once, without a goodbye."""
        ...


class World:
    """What a client takes from outside of itself. Tests pass another."""

    def time(self) -> float:
        """Return the seconds of a clock that never goes back."""
        return clock.steady()

    def random(self) -> float:
        """Return a number of [0, 1)."""
        return random.random()

    def call_later(self, seconds: float, callback: Callable[[], object]) -> clock.Timer:
        """Call ``callback()`` after so many seconds, in the event loop."""
        return clock.call_later(asyncio.get_running_loop(), seconds, callback)

    async def open(
        self,
        url: str,
        subprotocols: Sequence[str],
        headers: Mapping[str, str],
        tls: ssl.SSLContext | None,
        within: float,
    ) -> Link:
        """Return a new link, ``within`` so many seconds. Raises Refused, and Closed if the server cannot be
        reached.
        """
        options: dict[str, Any] = {} if tls is None else {"ssl": tls}
        try:
            socket = await _Connect(
                url,
                subprotocols=[Subprotocol(one) for one in subprotocols] or None,
                additional_headers=dict(headers),
                open_timeout=within,
                close_timeout=CLOSE_SECONDS,
                max_size=MAX_FRAME_BYTES,
                max_queue=4,
                # The client pings by itself: it knows when it does not read, and so cannot see an answer.
                ping_interval=None,
                logger=logger,
                **options,
            )
        except InvalidStatus as error:
            status = error.response.status_code
            targets = error.response.headers.get_all("Location") if status in REDIRECTS else []
            raise Refused(status, " or ".join(targets)) from error
        except (OSError, EOFError, asyncio.TimeoutError, InvalidHandshake) as error:
            raise Closed(ABNORMAL, str(error) or type(error).__name__) from error
        return WebsocketLink(socket)


class _Connect(connect):
    """Follows no redirect, like a browser's WebSocket: the headers and the ticket are for one origin."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class WebsocketLink:
    """A Link on a connection of websockets."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._left = 0
        """How often something had left when another part of a large frame was written."""

    @property
    def subprotocol(self) -> str | None:
        return self._socket.subprotocol

    @property
    def unsent(self) -> Unsent:
        # With TLS, what is encrypted is in another buffer than this one, and behind a large frame there may
        # be another one. So it is counted, too, how often something has left before another part.
        return -self._left, *self._waiting()

    def _waiting(self) -> Unsent:
        transport = self._socket.transport
        return transport.get_write_buffer_size(), _in_kernel(transport)

    async def receive(self) -> Frame:
        try:
            return await self._socket.recv()
        except ConnectionClosed as error:
            raise _end_of(error) from None

    async def send(self, frame: Frame) -> None:
        try:
            await self._socket.send(frame if len(frame) <= PART else self._parts_of(frame))
        except ConnectionClosed as error:
            raise _end_of(error) from None

    def _parts_of(self, frame: Frame) -> Iterator[Frame]:
        """Yield the parts of ``frame``; each is asked for when there is room for it again."""
        before = -1
        for start in range(0, len(frame), PART):
            waiting = sum(self._waiting())
            self._left += waiting <= before  # though a part was added
            before = waiting
            yield frame[start : start + PART]

    async def ping(self) -> None:
        try:
            await (await self._socket.ping())
        except ConnectionClosed as error:
            raise _end_of(error) from None

    async def close(self, code: int, reason: str) -> None:
        await self._socket.close(code, reason)

    def leave(self) -> None:
        self._socket.transport.abort()


def _in_kernel(transport: asyncio.BaseTransport) -> int:
    """Return how many bytes the peer's kernel has not acknowledged; 0 where our own does not say."""
    socket = transport.get_extra_info("socket")
    if sys.platform == "win32" or socket is None:
        return 0
    import fcntl
    import termios

    try:
        return int.from_bytes(fcntl.ioctl(socket.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    except (OSError, ValueError):  # this kernel does not say it of sockets, or the socket is closed
        return 0


def _end_of(error: ConnectionClosed) -> Closed:
    if error.rcvd is not None:
        return Closed(error.rcvd.code, error.rcvd.reason)
    if error.sent is not None and error.sent.code in OUR_OWN_ENDS:
        return Closed(error.sent.code, error.sent.reason)
    return Closed(ABNORMAL, str(error.__cause__ or ""))
