"""Checks of how the server is started: uvicorn's options, its workers, the limits of the process."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from compat.cli.doctor.commands import ServerCommand
from compat.cli.doctor.finding import Finding, error, note, warning
from compat.cli.doctor.subject import Subject
from compat.settings import settings

__all__ = ["CHECKS"]

PROXY_IDLE_S = 60.0
"""After which nginx and most load balancers close a connection that is silent."""
MIB = 1 << 20
FILES_BESIDE = 100
"""Open files that are not sockets of clients."""


def _uvicorns(subject: Subject) -> list[ServerCommand]:
    return [command for command in subject.commands if command.program == "uvicorn" and command.options]


def no_websocket_implementation(subject: Subject) -> Iterator[Finding]:
    """uvicorn without a library for websockets answers every handshake with a plain 404 or 400."""
    for command in _uvicorns(subject):
        chosen = str(command.options.get("ws", "auto"))
        if chosen == "none":
            yield error("--ws none serves no websockets", "Remove --ws none.", command.source)
        elif chosen == "auto" and not (find_spec("websockets") or find_spec("wsproto")):
            yield error(
                "no library for websockets is installed: uvicorn refuses every handshake",
                "pip install 'channels-compat[server]' (or websockets).",
                command.source,
            )
        elif chosen == "wsproto" or (chosen == "auto" and not find_spec("websockets")):
            yield note(
                "websockets are served by wsproto, which has no code in C and takes about "
                "twice the time for a frame",
                "pip install websockets, and --ws auto.",
                command.source,
            )
        elif chosen.startswith("websockets") and not find_spec("websockets"):
            yield error(
                f"--ws {chosen}, and websockets is not installed",
                "pip install 'channels-compat[server]'.",
                command.source,
            )


def largest_frame(subject: Subject) -> Iterator[Finding]:
    """What one client may make the server hold in memory."""
    for command in _uvicorns(subject):
        size, queue = command.options.get("ws_max_size"), command.options.get("ws_max_queue") or 0
        limit = settings.get("CHANNEL_MAX_MESSAGE_SIZE")
        if not isinstance(size, int) or size <= MIB:
            continue
        beyond = f", though CHANNEL_MAX_MESSAGE_SIZE is {limit}" if limit else ""
        yield note(
            f"one frame may have {_size(size)}, and up to {queue} wait per client, which "
            f"the server keeps in memory before a consumer sees them{beyond}",
            f"--ws-max-size {limit or 65536}, or what your largest message needs.",
            command.source,
        )


def _size(count: int) -> str:
    return f"{count // MIB} MiB" if count >= MIB else f"{count} bytes"


def pings(subject: Subject) -> Iterator[Finding]:
    """Whether dead clients are noticed, and proxies kept from closing silent ones."""
    heartbeat = settings.get("CHANNEL_HEARTBEAT") or settings.get("CHANNEL_IDLE_TIMEOUT")
    for command in _uvicorns(subject):
        interval = command.options.get("ws_ping_interval")
        if not interval and not heartbeat:
            yield warning(
                "no pings are sent, so that a client that vanished (a phone in a tunnel) is "
                "never noticed and stays in its groups",
                "--ws-ping-interval 20 (uvicorn's default), or CHANNEL_HEARTBEAT with CHANNEL_IDLE_TIMEOUT.",
                command.source,
            )
        elif isinstance(interval, int | float) and interval >= PROXY_IDLE_S and not heartbeat:
            yield warning(
                f"a ping every {interval:g} s is as rare as the {PROXY_IDLE_S:g} s after which "
                "nginx and most load balancers close a silent connection",
                "--ws-ping-interval 20.",
                command.source,
            )


def stop_without_end(subject: Subject) -> Iterator[Finding]:
    """A stop that waits for handlers for ever, or cuts a drain off."""
    drain_s = settings.get("DRAIN_SECONDS") or 0
    for command in _uvicorns(subject):
        limit_s = command.options.get("timeout_graceful_shutdown")
        if limit_s is None:
            yield note(
                "a stop waits without end for what is still running: one handler that "
                "hangs, and the process has to be killed",
                f"--timeout-graceful-shutdown {int(drain_s) + 10}",
                command.source,
            )


def reload_in_production(subject: Subject) -> Iterator[Finding]:
    """A development option."""
    for command in _uvicorns(subject):
        if command.options.get("reload"):
            yield warning(
                "--reload restarts the server when a file changes, and runs one worker",
                "Leave it out in production; channels-compat runserver has it for development.",
                command.source,
            )


def proxy_headers(subject: Subject) -> Iterator[Finding]:
    """Who a client is, behind a proxy: needed by limits per client, and forged where anybody may say it."""
    per_client = settings.get("CHANNEL_MAX_CONNECTIONS_PER_CLIENT")
    for command in _uvicorns(subject):
        trusted, believed = command.options.get("forwarded_allow_ips"), command.options.get("proxy_headers")
        public = command.options.get("host") not in ("127.0.0.1", "localhost", "::1")
        if believed and trusted == "*" and public:
            yield warning(
                "X-Forwarded-For and X-Forwarded-Proto are believed from anybody: a client that "
                "reaches the port directly chooses its own address and scheme",
                "--forwarded-allow-ips with the proxy's address or network.",
                command.source,
            )
        elif per_client and public and (not believed or not trusted):
            yield warning(
                "CHANNEL_MAX_CONNECTIONS_PER_CLIENT counts by address, and behind a proxy on "
                "another machine all clients have the proxy's",
                "--proxy-headers --forwarded-allow-ips with the proxy's address or network.",
                command.source,
            )


def concurrency_limit(subject: Subject) -> Iterator[Finding]:
    """uvicorn's limit counts open websockets too."""
    for command in _uvicorns(subject):
        limit = command.options.get("limit_concurrency")
        if isinstance(limit, int) and subject.members and limit * command.workers < subject.members:
            yield error(
                f"--limit-concurrency {limit} counts open websockets, and "
                f"{subject.members} people are expected: the others are answered 503",
                "Raise it, or leave it out and set CHANNEL_MAX_CONNECTIONS.",
                command.source,
            )


def lifespan_off(subject: Subject) -> Iterator[Finding]:
    """Layers are opened and closed by the lifespan, where the application has one of ours."""
    for command in _uvicorns(subject):
        if command.options.get("lifespan") == "off":
            yield note(
                "--lifespan off: layers that are configured wrongly are noticed at the first "
                "connection, and their connections are not closed in order at a stop",
                "--lifespan auto",
                command.source,
            )


def not_a_websocket_server(subject: Subject) -> Iterator[Finding]:
    """gunicorn's own workers speak no ASGI."""
    for command in subject.commands:
        if command.program == "gunicorn" and "uvicorn" not in command.text.lower():
            yield error(
                "gunicorn's own workers serve no ASGI application and no websockets",
                "gunicorn -k uvicorn_worker.UvicornWorker (package uvicorn-worker), or uvicorn --workers N.",
                command.source,
            )


def open_files(subject: Subject) -> Iterator[Finding]:
    """The number of sockets that the system lets a process have."""
    limit = _file_limit()
    if not subject.members or limit is None:
        return
    each = -(-subject.members // subject.workers)
    if each + FILES_BESIDE > limit:
        yield warning(
            f"a process may have {limit} open files here, and {each} sockets are expected in each of "
            f"{subject.workers}: the next clients fail with 'Too many open files'",
            "ulimit -n 65536 where the server is started (LimitNOFILE= of systemd, ulimits: of compose).",
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
