"""The development server: uvicorn with reload, and memory in place of a Redis that is not there.

``serve()`` is behind ``channels-compat runserver`` and behind ``manage.py runserver`` of a project that runs
on the shim. This process only watches files and starts server processes; what one of them does is in
``compat.cli.development``. Under a plain ``uvicorn`` nothing of this happens.
"""

from __future__ import annotations

import copy
import errno
import os
import socket
from typing import Any

from compat.cli.application import application_name, search_here
from compat.cli.development import VARIABLE, Plan, prepare
from compat.exceptions import CompatError

__all__ = ["CannotServe", "serve"]

FACTORY = "compat.cli.development:application"
DRAIN_S = 3
"""Seconds that open connections have to end when the server stops or reloads."""


class CannotServe(CompatError):
    """The development server cannot start; the message says why and what would help."""


def serve(
    application: str | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    reload: bool = True,
    workers: int = 1,
    load: str = "compat.cli.application:load_application",
    log_level: str = "info",
) -> None:
    """Serve ``application`` until Ctrl-C.

    ``application``: "module:name" or "module.name"; None for the setting ASGI_APPLICATION. ``port`` 0 takes
    any that is free. ``load``: "module:function" that is called in each server process with the application's
    name ("module:name") and returns the ASGI application, for those who set something up first or wrap it.
    ``log_level``: of uvicorn's loggers.

    Prints the layers that are not as configured (first), the URL, the application and all layers. Raises
    CannotServe for a port that is taken and for more than one worker with a layer in memory,
    ImproperlyConfigured for an application that is not named, ImportError when uvicorn is not installed.
    """
    try:
        import uvicorn
    except ModuleNotFoundError as error:
        raise ImportError("runserver needs uvicorn. Run: pip install 'channels-compat[server]'") from error
    search_here()
    if workers > 1 and reload:
        raise CannotServe(f"--workers {workers} does not go with reloading: add --noreload")
    port = bindable(host, port)
    plan = Plan(
        application=application_name(application),
        load=load,
        url=url_of(host, port),
        reload=reload,
        workers=workers,
        log_level=log_level,
    )
    if workers > 1:
        refuse_memory(plan)
    os.environ[VARIABLE] = plan.as_json()
    options: dict[str, Any] = {
        "factory": True,
        "host": host,
        "port": port,
        "log_config": quiet_until_ready(log_level),
        "timeout_graceful_shutdown": DRAIN_S,
    }
    if reload:
        from compat.cli import reloading

        reloading.run(uvicorn.Config(FACTORY, reload=True, **options))
    else:
        uvicorn.run(FACTORY, workers=workers, **options)


def bindable(host: str, port: int) -> int:
    """``port`` if this process may listen on it (a free one for 0); raises CannotServe."""
    try:
        # A server that has just ended leaves connections that linger; they must not look like another server.
        with socket.create_server((host, port), family=family_of(host), reuse_port=False) as probe:
            return int(probe.getsockname()[1])
    except OSError as error:
        raise CannotServe(f"cannot listen on {host}:{port}: {_why_not(error, port)}") from error


def _why_not(error: OSError, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"address already in use. End the other program, or choose another port, such as {port + 1}"
    if error.errno == errno.EACCES:
        return "ports below 1024 need more rights. Choose another port, such as 8000"
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return "that is no address of this machine. Use 127.0.0.1, or 0.0.0.0 for every interface"
    return str(error)


def family_of(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def url_of(host: str, port: int) -> str:
    """What to open in a browser."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}/"


def refuse_memory(plan: Plan) -> None:
    """Raise CannotServe when several processes would each have a channel layer of their own."""
    prepared = prepare(plan)
    for layer in prepared.layers:
        if layer.in_memory:
            cause = f"Redis at {layer.server} cannot be reached, so " if layer.stands_in else ""
            raise CannotServe(
                f'--workers {plan.workers}: {cause}layer "{layer.alias}" is in memory, where each process '
                "has its own: people in one room would not all hear each other. Use one worker, or a "
                "redis-server that runs and, for this alias in CHANNEL_LAYERS, the BACKEND "
                '"compat.layers.redis.core.RedisChannelLayer"'
            )
    prepared.announce()


def quiet_until_ready(log_level: str) -> dict[str, Any]:
    """uvicorn's logging, but the first word is left to the server process (see ``Prepared.announce``)."""
    from uvicorn.config import LOGGING_CONFIG

    config: dict[str, Any] = copy.deepcopy(LOGGING_CONFIG)
    config["loggers"]["uvicorn.error"]["level"] = "WARNING"
    config["loggers"]["uvicorn.access"]["level"] = log_level.upper()
    return config
