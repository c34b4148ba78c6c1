"""A real server in a test: uvicorn on a free port of this machine, in a thread of the test process.

    with LiveServer(application) as server:
        with websockets.sync.client.connect(f"{server.ws_url}/ws/") as websocket:
            ...

The test has access to its consumers, layers in memory and log records. Django's live server test case serves
the result of ``make_application``.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from typing import Any

from compat.exceptions import CompatError
from compat.routing import get_default_application

__all__ = ["LiveServer", "LiveServerError", "get_default_application", "make_application"]

STARTS_WITHIN_S = 30.0
ENDS_WITHIN_S = 30.0


class LiveServerError(CompatError):
    """The server did not start, or did not stop."""


class LiveServer:
    """Serves ``application`` while the ``with`` block runs.

    ``url`` and ``ws_url`` have no slash at the end; ``loop`` is the server's event loop. ``options`` are
    those of ``uvicorn.Config``. The end of the block closes open connections with 1012, and waits for the end
    of the lifespan. Raises LiveServerError if the server does not start.
    """

    host = "127.0.0.1"

    def __init__(self, application: Any, **options: Any) -> None:
        try:
            import uvicorn
        except ModuleNotFoundError as error:
            raise LiveServerError(
                "a live server needs uvicorn: pip install 'channels-compat[server]'"
            ) from error
        options = {"log_config": None, "timeout_graceful_shutdown": 5, **options}
        self._server = uvicorn.Server(uvicorn.Config(application, **options))
        self._socket = socket.socket()
        self._thread = threading.Thread(target=self._run, name="live-server", daemon=True)
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws://{self.host}:{self.port}"

    def start(self) -> None:
        """Start the server; return when it listens."""
        self._socket.bind((self.host, 0))
        self.port = self._socket.getsockname()[1]
        self._thread.start()
        self._ready.wait(STARTS_WITHIN_S)
        if not self._server.started:
            self._socket.close()
            cause = "see its log" if self._error is None else f"{type(self._error).__name__}: {self._error}"
            raise LiveServerError(f"the live server did not start: {cause}") from self._error

    def stop(self) -> None:
        """Stop the server, and wait until it has ended."""
        self._server.should_exit = True
        self._thread.join(ENDS_WITHIN_S)
        self._socket.close()
        if self._thread.is_alive():
            raise LiveServerError(f"the live server has not ended after {ENDS_WITHIN_S:.0f} s")

    def __enter__(self) -> LiveServer:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except (Exception, SystemExit) as error:  # noqa: BLE001 - uvicorn leaves by SystemExit
            self._error = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        watching = asyncio.create_task(self._tell())
        await self._server.serve(sockets=[self._socket])
        watching.cancel()

    async def _tell(self) -> None:
        """Set ``_ready`` when the server has started; uvicorn has no event for it."""
        while not self._server.started:  # noqa: ASYNC110 - it is a plain attribute
            await asyncio.sleep(0.005)
        self._ready.set()


def make_application(*, static_wrapper: Callable[[Any], Any] | None) -> Any:
    """Return the application of ASGI_APPLICATION, wrapped in ``static_wrapper`` if given.

    It is a module's function, so that it can be passed to a server process.
    """
    application = get_default_application()
    return application if static_wrapper is None else static_wrapper(application)
