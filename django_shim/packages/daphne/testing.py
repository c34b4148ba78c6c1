"""``DaphneProcess``: a server in a process of its own, for live tests."""

from __future__ import annotations

import multiprocessing
import pickle
import traceback
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["DaphneProcess"]


class DaphneProcess(multiprocessing.Process):
    """Serves ``get_application()`` on ``host``; ``ready`` is set once ``port`` holds the port it listens on.

    ``setup`` and ``teardown`` run in the process, before and after serving; what goes wrong is put on
    ``errors`` as (exception, traceback text). ``kwargs`` are the server's.
    """

    def __init__(
        self,
        host: str,
        get_application: Callable[[], Any],
        kwargs: Mapping[str, Any] | None = None,
        setup: Callable[[], Any] | None = None,
        teardown: Callable[[], Any] | None = None,
        port: int | None = None,
    ) -> None:
        super().__init__()
        self.host = host
        self.get_application = get_application
        self.kwargs = dict(kwargs or {})
        self.setup = setup
        self.teardown = teardown
        self.port = multiprocessing.Value("i", port or 0)
        self.ready = multiprocessing.Event()
        self.errors: multiprocessing.Queue[tuple[BaseException, str]] = multiprocessing.Queue()

    def run(self) -> None:
        """What the process does."""
        try:
            self._serve()
        except BaseException as error:  # noqa: BLE001 - the parent is to see whatever ended the server
            self.errors.put((portable(error), traceback.format_exc()))

    def _serve(self) -> None:
        from daphne.endpoints import build_endpoint_description_strings
        from daphne.server import Server

        server = Server(
            self.get_application(),
            build_endpoint_description_strings(self.host, self.port.value),
            signal_handlers=False,
            ready_callable=lambda: self._announce(server),
            **self.kwargs,
        )
        if self.setup is not None:
            self.setup()
        try:
            server.run()
        finally:
            if self.teardown is not None:
                self.teardown()

    def _announce(self, server: Any) -> None:
        self.port.value = server.listening_addresses[0][1]
        self.ready.set()


def portable(error: BaseException) -> BaseException:
    """``error``, or what it says, where it cannot be pickled: the queue would drop it silently."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 - pickling runs anybody's code
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
