"""Daphne's ``Server``, with uvicorn inside.

Its arguments are Daphne's. What uvicorn has no equal for (``http_timeout``, ``request_buffer_size``,
``websocket_timeout``, ``websocket_connect_timeout``, ``websocket_handshake_timeout``,
``websocket_max_frame_size``) is accepted and does nothing. ``action_logger`` only turns uvicorn's own lines
on; without it there are its warnings. Of a proxy's headers uvicorn reads X-Forwarded-For and
X-Forwarded-Proto; other names are warned of.
"""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import uvicorn

from daphne.endpoints import listen

__all__ = ["Server"]

logger = logging.getLogger("daphne.server")


class Server:
    """Serves ``application`` on all ``endpoints`` ("tcp:port=8000:interface=127.0.0.1") until ``stop()``."""

    def __init__(
        self,
        application: Any,
        endpoints: Sequence[str] | None = None,
        signal_handlers: bool = True,
        action_logger: Callable[..., Any] | None = None,
        *,
        ping_interval: float = 20,
        ping_timeout: float = 30,
        root_path: str = "",
        proxy_forwarded_address_header: str | None = None,
        websocket_max_message_size: int = 1024 * 1024,
        application_close_timeout: int = 10,
        ready_callable: Callable[[], Any] | None = None,
        server_name: str = "daphne",
        **without_effect: Any,
    ) -> None:
        if not endpoints:
            raise ValueError("Server(endpoints=…) is empty: this server would not listen on anything")
        if (proxy_forwarded_address_header or "X-Forwarded-For").lower() != "x-forwarded-for":
            logger.warning(
                "the client's address cannot be taken from the header %s: uvicorn, which serves here, reads "
                "X-Forwarded-For only. Let the proxy send that, or install the real daphne",
                proxy_forwarded_address_header,
            )
        self.application = application
        self.endpoints = list(endpoints)
        self.listening_addresses: list[Any] = []
        self.abort_start = False
        config = uvicorn.Config(
            application,
            root_path=root_path,
            # Daphne never sends lifespan events, so applications that are written for it do not know them.
            lifespan="off",
            access_log=action_logger is not None,
            # A live test gives none: what its server does is no news among the test's own lines.
            log_level=None if action_logger is not None else "warning",
            proxy_headers=proxy_forwarded_address_header is not None,
            ws_ping_interval=ping_interval or None,
            ws_ping_timeout=ping_timeout or None,
            # Daphne has no limit at 0, uvicorn none by its largest number.
            ws_max_size=websocket_max_message_size or 2**31 - 1,
            timeout_graceful_shutdown=application_close_timeout,
            server_header=False,
            headers=[("Server", server_name)] if server_name else [],
        )
        self._server = _Uvicorn(config, signal_handlers, ready_callable)

    def run(self) -> None:
        """Listen and serve; returns after ``stop()`` or Ctrl-C."""
        sockets = [listen(endpoint) for endpoint in self.endpoints]
        self.listening_addresses = [sock.getsockname() for sock in sockets]
        self._server.run(sockets=sockets)

    def stop(self) -> None:
        """End ``run()`` soon; may be called from any thread."""
        self._server.should_exit = True


class _Uvicorn(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, signals: bool, ready: Callable[[], Any] | None) -> None:
        super().__init__(config)
        self._signals = signals
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._ready is not None:
            self._ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if self._signals:
            with super().capture_signals():
                yield
        else:
            yield
