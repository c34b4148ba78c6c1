"""``DaphneProcess``: a server in another process, for live tests.

Without the shim, a ported project imports this module as ``django_shim.packages.daphne.testing``: hence the
relative imports.
"""

from __future__ import annotations

import multiprocessing
import pickle
import traceback
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import compat.db  # noqa: F401 - a forked server needs a thread of its own for sync_to_async

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import Synchronized

__all__ = ["DaphneProcess"]

DAPHNES_OWN = ("BaseDaphneTestingInstance", "DaphneTestingInstance", "TestApplication")
"""Names of the real module, with which Daphne tests itself."""


def __getattr__(name: str) -> Any:
    if name in DAPHNES_OWN:
        raise ImportError(
            f"daphne.testing.{name} tests Daphne itself, and the stand-in of channels-compat has no Daphne: "
            "install daphne, or use compat.testing.live.LiveServer(application)"
        )
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class DaphneProcess(multiprocessing.Process):
    """Serves ``get_application()`` on ``host``; sets ``port`` to the port in use, then ``ready``.

    ``setup`` and ``teardown`` run in the process, before and after serving. An error is put on ``errors`` as
    (exception, traceback text). ``kwargs`` are those of the server.
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
        self.port: Synchronized[int] = multiprocessing.Value("i", port or 0)
        self.ready = multiprocessing.Event()
        self.errors: multiprocessing.Queue[tuple[BaseException, str]] = multiprocessing.Queue()

    def run(self) -> None:
        """Serve; the new process calls this."""
        try:
            self._serve()
        except BaseException as error:  # noqa: BLE001 - the parent reports any error of the server
            self.errors.put((portable(error), traceback.format_exc()))

    def _serve(self) -> None:
        from .endpoints import build_endpoint_description_strings
        from .server import Server

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
    """Return ``error``, or its text if it cannot be pickled, because the queue would drop it silently."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 - pickling runs foreign code
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
