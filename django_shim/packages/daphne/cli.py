"""The ``daphne`` command line, for ``python -m daphne`` and ``django-shim daphne``."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from typing import Any

from compat.cli.application import application_name, load_object
from daphne.endpoints import build_endpoint_description_strings
from daphne.server import Server

__all__ = ["DEFAULT_HOST", "DEFAULT_PORT", "CommandLineInterface"]

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8000

logger = logging.getLogger("daphne.cli")


class CommandLineInterface:
    """Parses Daphne's options and runs a ``Server``."""

    server_class: type[Any] = Server
    """A class with the keywords of Daphne's ``Server``."""
    server: Any = None
    """The server that ``run`` has created, or None."""

    @classmethod
    def entrypoint(cls) -> None:
        """Run with the arguments of the process."""
        cls().run(sys.argv[1:])

    def run(self, args: Sequence[str]) -> None:
        """Serve until Ctrl-C, with the current folder on ``sys.path``, as Daphne does.

        Raises ``argparse.ArgumentError``, as Daphne does, for the name of a header without
        ``--proxy-headers``.
        """
        options = _parser().parse_args(args)
        logging.basicConfig(level=_level(options.verbosity), format="%(asctime)s %(levelname)-8s %(message)s")
        sys.path.insert(0, ".")
        endpoints = sorted([*options.socket_strings, *_endpoints(options)])
        logger.info("Starting server at %s", ", ".join(endpoints))
        self.server = self.server_class(
            application=load_object(application_name(options.application)),
            endpoints=endpoints,
            action_logger=logger.info if options.verbosity >= 1 or options.access_log else None,
            ping_interval=options.ping_interval,
            ping_timeout=options.ping_timeout,
            root_path=options.root_path,
            verbosity=options.verbosity,
            proxy_forwarded_address_header=_proxy_header(options, "host", "X-Forwarded-For"),
            proxy_forwarded_port_header=_proxy_header(options, "port", "X-Forwarded-Port"),
            proxy_forwarded_proto_header="X-Forwarded-Proto" if options.proxy_headers else None,
            websocket_max_message_size=options.websocket_max_message_size,
            application_close_timeout=options.application_close_timeout,
            server_name=options.server_name,
        )
        if options.access_log and options.access_log != "-":  # "-": where uvicorn writes them anyway
            _write_accesses(options.access_log)
        self.server.run()
        if self.server.abort_start:
            sys.exit(1)


def _proxy_header(options: argparse.Namespace, what: str, default: str) -> str | None:
    """Return the header with the client's ``what``; None if the headers of a proxy are not trusted."""
    given: str | None = getattr(options, f"proxy_headers_{what}")
    if options.proxy_headers:
        return given or default
    if given:
        argument = argparse.Action([f"--proxy-headers-{what}"], f"proxy_headers_{what}")
        raise argparse.ArgumentError(argument, "--proxy-headers has to be passed for this parameter.")
    return None


def _write_accesses(path: str) -> None:
    """Append uvicorn's lines about requests and websockets to a file; the server has set its logging up."""
    from uvicorn.config import LOGGING_CONFIG
    from uvicorn.logging import AccessFormatter, DefaultFormatter

    forms = LOGGING_CONFIG["formatters"]
    requests = logging.FileHandler(path, encoding="utf-8")
    requests.setFormatter(AccessFormatter(forms["access"]["fmt"], use_colors=False))
    log = logging.getLogger("uvicorn.access")
    for handler in list(log.handlers):
        log.removeHandler(handler)
    log.addHandler(requests)
    # Its lines about websockets are among those for the standard error, where they stay too.
    sockets = logging.StreamHandler(requests.stream)
    sockets.setFormatter(DefaultFormatter(forms["default"]["fmt"], use_colors=False))
    sockets.addFilter(lambda record: '"WebSocket ' in str(record.msg))
    logging.getLogger("uvicorn.error").addHandler(sockets)


def _endpoints(options: argparse.Namespace) -> list[str]:
    host, port = options.host, options.port
    elsewhere = options.unix_socket or options.file_descriptor is not None or options.socket_strings
    if host is None and port is None and elsewhere:
        return build_endpoint_description_strings(
            unix_socket=options.unix_socket, file_descriptor=options.file_descriptor
        )
    return build_endpoint_description_strings(
        host or DEFAULT_HOST,
        DEFAULT_PORT if port is None else port,
        options.unix_socket,
        options.file_descriptor,
    )


def _level(verbosity: int) -> int:
    return {0: logging.WARNING, 1: logging.INFO}.get(verbosity, logging.DEBUG)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="daphne",
        description="Serves an ASGI application with uvicorn, under Daphne's options (from channels-compat).",
    )
    add = parser.add_argument
    add("application", help="the application, as package.module:name")
    add("-p", "--port", type=int, help=f"port to listen on ({DEFAULT_PORT})")
    add("-b", "--bind", dest="host", help=f"address to listen on ({DEFAULT_HOST})")
    add("-u", "--unix-socket", help="listen on a unix socket")
    add("--fd", dest="file_descriptor", type=int, help="listen on an open socket, such as one from systemd")
    add("-e", "--endpoint", dest="socket_strings", action="append", default=[], help="tcp:…, unix:… or fd:…")
    add("-v", "--verbosity", type=int, default=1, help="0 to 3")
    add("--access-log", help="file for a line about each request; - for the standard output")
    add("--root-path", default="", help="root_path of every scope")
    add("--proxy-headers", action="store_true", help="take the client's address from X-Forwarded-For")
    add("--ping-interval", type=int, default=20, help="seconds between pings to websocket clients")
    add("--ping-timeout", type=int, default=30, help="seconds to wait for the answer")
    add("--websocket-max-message-size", type=int, default=1024 * 1024, help="in bytes; 0 for no limit")
    add("--application-close-timeout", type=int, default=10, help="seconds that an application has to end")
    add("-s", "--server-name", default="daphne", help="the Server header of responses")
    add("--no-server-name", dest="server_name", action="store_const", const="", help="no Server header")
    for option in ("-t", "--http-timeout"), ("--websocket_timeout",), ("--websocket_connect_timeout",):
        add(*option, type=int, help="accepted for compatibility with Daphne; uvicorn has no such limit")
    for what in "host", "port":
        add(f"--proxy-headers-{what}", help=f"name of the header with the {what}; needs --proxy-headers")
    for name in "--websocket-max-frame-size", "--log-fmt":
        add(name, help="accepted for compatibility with Daphne; no effect")
    return parser
