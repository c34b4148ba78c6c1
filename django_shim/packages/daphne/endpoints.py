"""Endpoint descriptions: strings that tell Daphne where to listen."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping

__all__ = ["build_endpoint_description_strings", "listen"]

LOOPBACK = "127.0.0.1"


def build_endpoint_description_strings(
    host: str | None = None,
    port: int | str | None = None,
    unix_socket: str | None = None,
    file_descriptor: int | None = None,
) -> list[str]:
    """Return a description for each given place; ValueError for a host without a port, or a port without a
    host.
    """
    if (host is None) != (port is None):
        raise ValueError(f"an address is a host and a port; got host={host!r}, port={port!r}")
    descriptions = []
    if host is not None and port is not None:
        interface = host.strip("[]").replace(":", r"\:")
        descriptions.append(f"tcp:port={int(port)}:interface={interface}")
    if unix_socket:
        descriptions.append(f"unix:{unix_socket}")
    if file_descriptor is not None:
        descriptions.append(f"fd:fileno={int(file_descriptor)}")
    return descriptions


def listen(description: str) -> socket.socket:
    """Return a listening socket for "tcp:…", "unix:…" or "fd:…"; ValueError for any other kind."""
    kind, positional, options = _parse(description)
    if kind == "tcp":
        host = options.get("interface", LOOPBACK)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, int(options.get("port", positional))), family=family)
    if kind == "unix":
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.bind(options.get("address", positional))
        return sock
    if kind == "fd":
        return socket.socket(fileno=int(options.get("fileno", positional)))
    raise ValueError(
        f"endpoint {description!r}: expected tcp, unix or fd. For TLS run uvicorn with --ssl-keyfile and "
        "--ssl-certfile, or install the real daphne."
    )


def _parse(description: str) -> tuple[str, str, Mapping[str, str]]:
    parts = [part.replace(r"\:", ":") for part in re.split(r"(?<!\\):", description)]
    options = dict(part.split("=", 1) for part in parts[1:] if "=" in part)
    positional = next((part for part in parts[1:] if "=" not in part), "")
    return parts[0], positional, options
