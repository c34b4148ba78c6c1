"""Endpoint descriptions: strings that tell Daphne where to listen."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import stat
from collections.abc import Mapping
from typing import Any

__all__ = ["build_endpoint_description_strings", "listen"]


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
        host = options.get("interface", "")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, int(options.get("port", positional))), family=family)
    if kind == "unix":
        path = options.get("address", positional)
        _delete_stale(path)
        sock = _UnixSocket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.bind(path)
        os.chmod(path, int(options.get("mode", "666"), 8))
        return sock
    if kind == "fd":
        return socket.socket(fileno=int(options.get("fileno", positional)))
    raise ValueError(
        f"endpoint {description!r}: expected tcp, unix or fd. For TLS run uvicorn with --ssl-keyfile and "
        "--ssl-certfile, or install the real daphne."
    )


class _UnixSocket(socket.socket):
    """A unix socket whose file is deleted when it is closed."""

    _path = ""

    def bind(self, address: Any) -> None:
        super().bind(address)
        self._path = os.path.abspath(address)

    def close(self) -> None:
        super().close()
        path, self._path = self._path, ""
        if path:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)


def _delete_stale(path: str) -> None:
    """Delete the file of a unix socket whose process was killed."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        try:
            client.connect(path)
        except ConnectionRefusedError:
            if stat.S_ISSOCK(os.stat(path).st_mode):
                os.unlink(path)
        except OSError:
            pass  # there is no such file, or bind() says what is wrong with it


def _parse(description: str) -> tuple[str, str, Mapping[str, str]]:
    parts = [part.replace(r"\:", ":") for part in re.split(r"(?<!\\):", description)]
    options = dict(part.split("=", 1) for part in parts[1:] if "=" in part)
    positional = next((part for part in parts[1:] if "=" not in part), "")
    return parts[0], positional, options
