"""The development server: uvicorn with reload, and layers in memory if Redis cannot be reached.

``channels-compat runserver`` calls ``serve()``, and so does ``manage.py runserver`` of a project on the shim.
This process watches files and starts server processes, which run ``compat.cli.development``. Where Django is
installed, its own reloader watches, and ``compat.cli.supervised`` serves below it.
"""

from __future__ import annotations

import copy
import errno
import multiprocessing
import os
import socket
from functools import partial
from inspect import signature
from typing import TYPE_CHECKING, Any

from compat.cli.application import application_name, search_here
from compat.cli.development import VARIABLE, Load, Plan, application_of, prepare
from compat.exceptions import CompatError

if TYPE_CHECKING:
    import uvicorn

__all__ = ["CannotServe", "serve"]

FACTORY = "compat.cli.development:application"
DRAIN_S = 3
"""The time that open connections have to end when the server stops or reloads."""
NOT_STARTED = 3
"""The exit code of uvicorn's processes whose server could not start."""


class CannotServe(CompatError):
    """The development server cannot start."""


def serve(
    application: str | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    reload: bool = True,
    workers: int = 1,
    load: Load = "compat.cli.application:load_application",
) -> None:
    """Serve ``application`` until Ctrl-C.

    ``application``: "module:name" or "module.name"; None for the setting ASGI_APPLICATION. ``port``: 0 for
    any free port. ``load``: "module:function"; each server process calls the function with the application's
    name ("module:name"), and serves the ASGI application that it returns. It may be the function itself where
    this process serves.

    Prints the layers that it replaced, the URL, the application and all layers. Raises CannotServe if the
    port is in use or several workers would use a layer in memory, ImproperlyConfigured if no application is
    named, and ImportError if uvicorn is not installed. In a server process that is being started, returns
    at once: it imports the script that called this, which may have no ``if __name__ == "__main__"``.
    """
    if _is_imported_anew():
        return
    require_uvicorn()
    import uvicorn

    search_here()
    if workers > 1 and reload:
        raise CannotServe(f"--workers {workers} does not work with reloading: add --noreload")
    port = bindable(host, port)
    plan = Plan(
        application=application_name(application),
        load=load,
        url=url_of(host, port),
        reload=reload,
        workers=workers,
    )
    if workers > 1:
        refuse_memory(plan)
    options: dict[str, Any] = {
        "factory": True,
        "host": host,
        "port": port,
        "log_config": quiet_until_ready(),
        "timeout_graceful_shutdown": DRAIN_S,
    }
    if not reload and workers == 1:
        uvicorn.run(partial(application_of, plan), **options)
        return
    os.environ[VARIABLE] = plan.as_json()
    if reload:
        from compat.cli import reloading

        reloading.run(uvicorn.Config(FACTORY, reload=True, **options))
    else:
        run_workers(uvicorn.Config(FACTORY, workers=workers, **options))


def run_workers(config: uvicorn.Config) -> None:
    """Serve in several processes; raise SystemExit if one could not start, as ``uvicorn.run`` does only with
    a single one.
    """
    from uvicorn import Server
    from uvicorn.supervisors import Multiprocess

    supervisor: Any = Multiprocess
    # An older uvicorn is also told what a process runs, and starts one that fails again and again.
    target = {"target": Server(config).run} if "target" in signature(Multiprocess).parameters else {}
    parent = supervisor(config, sockets=[config.bind_socket()], **target)
    parent.run()
    if any(child.process.exitcode == NOT_STARTED for child in parent.processes):
        raise SystemExit(NOT_STARTED)


def _is_imported_anew() -> bool:
    """Return True while multiprocessing, in a new process, runs the main script of the process before it."""
    # As multiprocessing asks it itself; ``__main__`` says nothing, which coverage and debuggers replace.
    return getattr(multiprocessing.current_process(), "_inheriting", False)


def require_uvicorn() -> None:
    """Raise ImportError if uvicorn is not installed."""
    try:
        import uvicorn  # noqa: F401
    except ModuleNotFoundError as error:
        raise ImportError("runserver needs uvicorn. Run: pip install 'channels-compat[server]'") from error


def bindable(host: str, port: int) -> int:
    """Return ``port``, or a free port for 0, after a test that this process can listen on it; raise
    CannotServe.
    """
    try:
        # It does not listen, or who waits for the server would take this socket for it.
        with socket.socket(family_of(host)) as probe:
            if os.name == "posix":  # lingering connections of a server that has ended do not count
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            return int(probe.getsockname()[1])
    except OSError as error:
        raise CannotServe(f"cannot listen on {host}:{port}: {_why_not(error, port)}") from error


def _why_not(error: OSError, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"address already in use. End the other program, or choose another port, such as {port + 1}"
    if error.errno == errno.EACCES:
        return "ports below 1024 need root's permission. Choose another port, such as 8000"
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return "that is not an address of this machine. Use 127.0.0.1, or 0.0.0.0 for every interface"
    return str(error)


def family_of(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def url_of(host: str, port: int) -> str:
    """Return the URL to open in a browser."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}/"


def refuse_memory(plan: Plan) -> None:
    """Raise CannotServe if a channel layer is in memory, where each process would have its own."""
    prepared = prepare(plan)
    for layer in prepared.layers:
        if layer.in_memory:
            cause = f"Redis at {layer.server} cannot be reached, so " if layer.stands_in else ""
            raise CannotServe(
                f'--workers {plan.workers}: {cause}layer "{layer.alias}" is in memory, where each process '
                "has its own: messages would not reach members of a group in another process. Use one "
                "worker, or start redis-server and set the BACKEND of this alias in CHANNEL_LAYERS to "
                '"compat.layers.redis.core.RedisChannelLayer"'
            )
    prepared.announce()


def quiet_until_ready() -> dict[str, Any]:
    """Return uvicorn's logging configuration without messages before ``Prepared.announce`` has printed its
    lines.
    """
    from uvicorn.config import LOGGING_CONFIG

    config: dict[str, Any] = copy.deepcopy(LOGGING_CONFIG)
    config["loggers"]["uvicorn.error"]["level"] = "WARNING"
    return config
