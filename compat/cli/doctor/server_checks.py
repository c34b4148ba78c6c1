"""Checks of the server commands: uvicorn's options, its workers, and the limits of the process."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from compat.cli.doctor.commands import WSGI_WORKERS, ServerCommand
from compat.cli.doctor.finding import Finding, error, note, warning
from compat.cli.doctor.subject import Subject
from compat.settings import settings

__all__ = ["CHECKS"]

PROXY_IDLE_S = 60.0
"""The time after which nginx and most load balancers close a silent connection."""
MIB = 1 << 20
GUNICORNS_FILE = "gunicorn.conf.py"
FILES_BESIDE = 100
"""Open files that are not sockets of clients."""


def _uvicorns(subject: Subject) -> list[ServerCommand]:
    return [command for command in subject.commands if command.program == "uvicorn" and command.options]


def no_websocket_implementation(subject: Subject) -> Iterator[Finding]:
    """Report a uvicorn without a websocket library: it refuses every handshake with 404 or 400."""
    for command in _uvicorns(subject):
        chosen = str(command.options.get("ws", "auto"))
        if chosen == "none":
            yield error("--ws none serves no websockets", "Remove --ws none.", command.source)
        elif chosen == "auto" and not (find_spec("websockets") or find_spec("wsproto")):
            yield error(
                "no websocket library is installed: uvicorn refuses every handshake",
                "pip install 'channels-compat[server]' (or websockets).",
                command.source,
            )
        elif chosen == "wsproto" or (chosen == "auto" and not find_spec("websockets")):
            yield note(
                "uvicorn uses wsproto, which has no code in C and needs about twice the time for a frame",
                "pip install websockets, and use --ws auto.",
                command.source,
            )
        elif chosen.startswith("websockets") and not find_spec("websockets"):
            yield error(
                f"--ws {chosen} needs the package websockets, which is not installed",
                "pip install 'channels-compat[server]'.",
                command.source,
            )


def largest_frame(subject: Subject) -> Iterator[Finding]:
    """Report a large limit for the memory that the frames of one client can use."""
    for command in _uvicorns(subject):
        size, queue = command.options.get("ws_max_size"), command.options.get("ws_max_queue") or 0
        limit = settings.get("CHANNEL_MAX_MESSAGE_SIZE")
        if not isinstance(size, int) or size <= MIB:
            continue
        beyond = f", although CHANNEL_MAX_MESSAGE_SIZE is {limit}" if limit else ""
        yield note(
            f"a frame may have {_size(size)}, and the server keeps up to {queue} frames of a client in "
            f"memory before a consumer receives them{beyond}",
            f"--ws-max-size {limit or 65536}, or the size of your largest message.",
            command.source,
        )


def _size(count: int) -> str:
    return f"{count // MIB} MiB" if count >= MIB else f"{count} bytes"


def pings(subject: Subject) -> Iterator[Finding]:
    """Report missing or rare pings: they detect dead clients, and keep proxies from closing silent
    connections.
    """
    heartbeat = settings.get("CHANNEL_HEARTBEAT") or settings.get("CHANNEL_IDLE_TIMEOUT")
    for command in _uvicorns(subject):
        interval = command.options.get("ws_ping_interval")
        if not interval and not heartbeat:
            yield warning(
                "the server sends no pings, so it does not detect a client that has lost its network; such a "
                "client stays in its groups",
                "--ws-ping-interval 20 (uvicorn's default), or CHANNEL_HEARTBEAT with CHANNEL_IDLE_TIMEOUT.",
                command.source,
            )
        elif isinstance(interval, int | float) and interval >= PROXY_IDLE_S and not heartbeat:
            yield warning(
                f"the server sends a ping every {interval:g} s, but nginx and most load balancers close a "
                f"silent connection after {PROXY_IDLE_S:g} s",
                "--ws-ping-interval 20.",
                command.source,
            )


def stop_without_end(subject: Subject) -> Iterator[Finding]:
    """Report a server whose stop has no time limit; with a drain, it counts from the end of that."""
    for command in _uvicorns(subject):
        limit_s = command.options.get("timeout_graceful_shutdown")
        if limit_s is None:
            yield note(
                "a stop waits for running handlers without a time limit: if one handler hangs, the process "
                "has to be killed",
                "--timeout-graceful-shutdown 10",
                command.source,
            )


def reload_in_production(subject: Subject) -> Iterator[Finding]:
    """Report --reload."""
    for command in _uvicorns(subject):
        if command.options.get("reload"):
            yield warning(
                "--reload restarts the server when a file changes, and runs one worker",
                "Remove it in production; for development use channels-compat runserver.",
                command.source,
            )


def proxy_headers(subject: Subject) -> Iterator[Finding]:
    """Report forwarded client addresses that are trusted from every client, or not read behind a proxy."""
    per_client = settings.get("CHANNEL_MAX_CONNECTIONS_PER_CLIENT")
    for command in _uvicorns(subject):
        trusted, believed = command.options.get("forwarded_allow_ips"), command.options.get("proxy_headers")
        if trusted is None:
            trusted = os.environ.get("FORWARDED_ALLOW_IPS")  # as uvicorn does
        public = command.options.get("host") not in ("127.0.0.1", "localhost", "::1")
        if believed and trusted == "*" and public:
            yield warning(
                "the server trusts X-Forwarded-For and X-Forwarded-Proto from every client: a client that "
                "connects to the port directly chooses its own address and scheme",
                "--forwarded-allow-ips with the address or network of the proxy.",
                command.source,
            )
        elif per_client and public and (not believed or not trusted):
            yield warning(
                "CHANNEL_MAX_CONNECTIONS_PER_CLIENT counts connections by address, and behind a proxy on "
                "another machine all clients have the address of the proxy",
                "--proxy-headers --forwarded-allow-ips with the address or network of the proxy.",
                command.source,
            )


def concurrency_limit(subject: Subject) -> Iterator[Finding]:
    """Report a --limit-concurrency, which counts open websockets too, below the expected members."""
    for command in _uvicorns(subject):
        limit = command.options.get("limit_concurrency")
        if isinstance(limit, int) and subject.members and limit * command.workers < subject.members:
            yield error(
                f"--limit-concurrency {limit} counts open websockets too, and is less than the "
                f"{subject.members} expected members: further connections are refused with 503",
                "Raise it, to more than twice the members if clients come back (it counts one that is away "
                "once, and one that is back twice), or remove it and set CHANNEL_MAX_CONNECTIONS.",
                command.source,
            )


def lifespan_off(subject: Subject) -> Iterator[Finding]:
    """Report --lifespan off: the lifespan of our applications opens and closes the layers."""
    for command in _uvicorns(subject):
        if command.options.get("lifespan") == "off":
            yield note(
                "--lifespan off: errors in the configuration of layers appear at the first connection, and a "
                "stop does not close the connections of layers",
                "--lifespan auto",
                command.source,
            )


def not_a_websocket_server(subject: Subject) -> Iterator[Finding]:
    """Report gunicorn with those of its own workers that do not support ASGI."""
    if subject.commands and all(command.serves_wsgi for command in subject.commands):
        yield warning(
            "gunicorn serves a WSGI application, which has no websockets, and no other server was found",
            "Start one for the ASGI application beside it, such as uvicorn mysite.asgi:application.",
            subject.commands[0].source,
        )
    for command in subject.commands:
        kind = command.worker_class
        file = command.value_of("-c", "--config") or GUNICORNS_FILE
        if command.program != "gunicorn" or command.serves_wsgi or kind not in ("", *WSGI_WORKERS):
            continue
        if not kind and (file != GUNICORNS_FILE or (subject.folder / file).is_file()):
            yield note(
                f"the doctor does not read {file}: a worker_class there must be one for ASGI, and the "
                "workers are not counted",
                'worker_class = "uvicorn_worker.UvicornWorker"; the doctor\'s --workers N says their number.',
                command.source,
            )
        else:
            yield error(
                f"gunicorn's worker class {kind or 'sync'} does not support ASGI applications or websockets",
                "gunicorn -k uvicorn_worker.UvicornWorker (package uvicorn-worker), or uvicorn --workers N.",
                command.source,
            )


def open_files(subject: Subject) -> Iterator[Finding]:
    """Report a limit of open files below the expected connections of a process."""
    limit = _file_limit()
    if not subject.members or limit is None:
        return
    each = -(-subject.members // subject.workers)
    if each + FILES_BESIDE > limit:
        yield warning(
            f"a process may have {limit} open files, but each of {subject.workers} processes needs {each} "
            "sockets for the expected members: further connections fail with 'Too many open files'",
            "ulimit -n 65536 before the server is started (LimitNOFILE= of systemd, ulimits: of compose).",
        )


def _file_limit() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    soft: Any = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if soft == resource.RLIM_INFINITY else int(soft)


CHECKS = (
    no_websocket_implementation,
    not_a_websocket_server,
    largest_frame,
    pings,
    stop_without_end,
    reload_in_production,
    proxy_headers,
    concurrency_limit,
    lifespan_off,
    open_files,
)
