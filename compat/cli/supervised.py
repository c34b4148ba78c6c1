"""The development server in a process that another reloader, such as Django's, ends and starts anew.

That reloader has the main thread and the signals; uvicorn runs in another thread.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from compat.cli.application import application_name, search_here
from compat.cli.development import Load, Plan, prepare
from compat.cli.runserver import CannotServe, bindable, require_uvicorn, url_of

if TYPE_CHECKING:
    import uvicorn

__all__ = ["SupervisedServer"]

DRAIN_S = 1
"""The time that open connections have to end: who has saved a file waits for it."""

END_S = 2
"""The process ends after this time, even if a thread of the project is busy."""


class SupervisedServer:
    """Serves in the thread that calls ``run()``, until the main thread calls ``stop()``."""

    def __init__(self, application: str | None, *, host: str, port: int, load: Load) -> None:
        self.application = application
        self.host = host
        self.port = port
        self.load = load
        self._uvicorn: uvicorn.Server | None = None
        self._ended = threading.Event()

    def run(self) -> None:
        """Load the application and serve it.

        Errors of the project during its import are raised as they are, for the reloader to show. Raises
        CannotServe if the port is in use. Returns if the application's lifespan fails, which is logged.
        """
        require_uvicorn()
        import uvicorn

        search_here()
        port = bindable(self.host, self.port)
        plan = Plan(
            application=application_name(self.application),
            load=self.load,
            url=url_of(self.host, port),
            reload=True,
            workers=1,
        )
        prepared = prepare(plan)
        prepared.announce()
        config = uvicorn.Config(
            prepared.app,
            host=self.host,
            port=port,
            timeout_graceful_shutdown=DRAIN_S,
        )
        self._uvicorn = server = uvicorn.Server(config)
        try:
            server.run()
        except SystemExit as error:
            # A thread that exits ends without a word, and the reloader would wait for a change.
            if not server.started and not server.lifespan.should_exit:
                raise CannotServe(f"cannot listen on {self.host}:{port}: see the error above") from error
        finally:
            self._ended.set()

    def stop(self, code: int) -> None:
        """Close the connections. The process is about to end with ``code``, and does so within END_S."""
        # Python waits for the threads of pools, where a handler of the project may be at work.
        timer = threading.Timer(END_S, _exit, [code])
        timer.daemon = True
        timer.start()
        if self._uvicorn is not None:
            self._uvicorn.should_exit = True
            with suppress(KeyboardInterrupt):  # Ctrl-C once more: do not wait
                self._ended.wait(END_S)


def _exit(code: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
