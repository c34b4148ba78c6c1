"""Daphne's ``Server``, which runs uvicorn.

Its arguments are Daphne's. Those that uvicorn does not have (``http_timeout``, ``request_buffer_size``,
``websocket_timeout``, ``websocket_connect_timeout``, ``websocket_handshake_timeout``,
``websocket_max_frame_size``) are accepted without effect. ``action_logger`` turns on uvicorn's access log;
without it, uvicorn logs only warnings. uvicorn reads X-Forwarded-For and X-Forwarded-Proto, from any
proxy unless FORWARDED_ALLOW_IPS in the environment lists them; another header name causes a warning.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import uvicorn
from asgiref.compatibility import guarantee_single_callable

from django_shim.below import Below

from .endpoints import listen

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
            raise ValueError("Server(endpoints=…) is empty: name at least one place to listen on")
        if (proxy_forwarded_address_header or "X-Forwarded-For").lower() != "x-forwarded-for":
            logger.warning(
                "the client's address cannot be read from the header %s: uvicorn reads only X-Forwarded-For. "
                "Configure the proxy to send that, or install the real daphne",
                proxy_forwarded_address_header,
            )
        self.application = application
        self.endpoints = list(endpoints)
        self.listening_addresses: list[Any] = []
        self.abort_start = False
        self.ready_callable = ready_callable
        config = uvicorn.Config(
            Below(guarantee_single_callable(application), root_path),  # type: ignore[no-untyped-call]
            # Daphne sends no lifespan events, so applications written for it may not support them.
            lifespan="off",
            access_log=action_logger is not None,
            # A live test passes no logger: its server should not log among the lines of the test.
            log_level=None if action_logger is not None else "warning",
            proxy_headers=proxy_forwarded_address_header is not None,
            # Daphne trusts every proxy; uvicorn by default those on this machine alone.
            forwarded_allow_ips=os.environ.get("FORWARDED_ALLOW_IPS", "*"),
            ws_ping_interval=ping_interval or None,
            ws_ping_timeout=ping_timeout or None,
            # 0 means no limit to Daphne; uvicorn needs a large number.
            ws_max_size=websocket_max_message_size or 2**31 - 1,
            timeout_graceful_shutdown=application_close_timeout,
            server_header=False,
            headers=[("Server", server_name)] if server_name else [],
        )
        self._server = _Uvicorn(config, signal_handlers, self._ready)

    def run(self) -> None:
        """Listen and serve; return after ``stop()``, Ctrl-C or SIGTERM.

        A handler for Ctrl-C that is not Python's own stays in place, as with Daphne.
        """
        sockets = [listen(endpoint) for endpoint in self.endpoints]
        self.listening_addresses = [sock.getsockname() for sock in sockets]
        self._server.run(sockets=sockets)

    def _ready(self) -> None:
        if self.ready_callable is not None:  # which a subclass may have set
            self.ready_callable()

    def stop(self) -> None:
        """End ``run()``; any thread may call this."""
        self._server.should_exit = True


class _Uvicorn(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, signals: bool, ready: Callable[[], Any]) -> None:
        super().__init__(config)
        self._signals = signals
        self._ready = ready

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        # Asked here, because asyncio puts a handler of its own in place of Python's.
        self._of_interrupt = signal.getsignal(signal.SIGINT)
        super().run(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if not self._signals:
            yield
            return
        with super().capture_signals():
            kept = self._of_interrupt
            if kept is not None and kept is not signal.default_int_handler and _in_main_thread():
                signal.signal(signal.SIGINT, kept)
            yield
            self._captured_signals.clear()  # which it would raise once more, so that run() does not return


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
