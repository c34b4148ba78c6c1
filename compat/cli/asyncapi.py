"""``channels-compat asyncapi``: print the AsyncAPI document of an application, or write it to a file."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from compat.cli.application import application_name, load_application, search_here
from compat.exceptions import CompatError
from compat.typed.asyncapi import consumer_routes, document, to_yaml

__all__ = ["NoServer", "NothingToDocument", "write"]


class NothingToDocument(CompatError):
    """The application serves no typed consumer."""


class NoServer(CompatError):
    """What was given as the server is no URL of one."""


def write(
    application: str | None,
    *,
    output: Path | None = None,
    format: str | None = None,
    title: str | None = None,
    version: str | None = None,
    server: str = "ws://localhost:8000",
) -> None:
    """Print the document of ``application``, or write it to ``output``.

    ``application``: "module:name"; None for ASGI_APPLICATION. ``format``: "json" or "yaml"; by default from
    the suffix of ``output``, else JSON. ``server``: the URL of the server, ws:// or wss://. Raises
    NothingToDocument, NoServer and ImproperlyConfigured.
    """
    search_here()
    name = application_name(application, "channels-compat asyncapi main:app")
    app = load_application(name)
    if not consumer_routes(app):
        raise NothingToDocument(
            f"{name} has no route to a typed consumer. Add a route to Consumer.as_asgi() of a subclass of "
            "compat.typed.AsyncJsonWebsocketConsumer"
        )
    url = _server(server)
    one = {
        "host": url.netloc,
        "protocol": url.scheme,
        **({"pathname": url.path} if url.path.strip("/") else {}),
    }
    made = document(app, title=title, version=version, servers={"default": one})
    if format is None:
        format = "yaml" if output is not None and output.suffix in (".yaml", ".yml") else "json"
    text = to_yaml(made) if format == "yaml" else json.dumps(made, indent=2, ensure_ascii=False) + "\n"
    if output is None:
        print(text, end="")
    else:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text, encoding="utf-8")


def _server(server: str) -> SplitResult:
    text = server if "://" in server else f"ws://{server}"
    try:
        url = urlsplit(text)
    except ValueError as error:
        raise NoServer(f"--server {server!r} is no URL: {error}") from error
    if url.scheme not in ("ws", "wss") or not url.netloc:
        raise NoServer(f"--server is the URL of the websockets, such as wss://example.com, not {server!r}")
    return url
