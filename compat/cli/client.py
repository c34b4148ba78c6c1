"""``channels-compat client``: write a client for an AsyncAPI document or an application."""

from __future__ import annotations

import json
import sys
from enum import Enum
from pathlib import Path
from typing import Any

from compat.cli.application import load_application, search_here
from compat.exceptions import CompatError

__all__ = ["CannotWrite", "Language", "write"]


class CannotWrite(CompatError):
    """The source is not a document from which a client can be generated."""


class Language(str, Enum):
    """What the client is written in."""

    PYTHON = "python"
    JS = "js"


def write(source: str, *, language: Language, output: Path | None, socket: str | None) -> None:
    """Write the client for ``source`` to ``output``, and print the names of its files.

    ``source``: an AsyncAPI document as a JSON file, or an application as "module:name". ``output``: the
    folder of a Python package, or the file of a JavaScript module. ``socket``: from where that imports
    ``Socket``; None for the server's, and a hint on stderr about it. Raises CannotWrite, CannotGenerate and
    ImproperlyConfigured.
    """
    if language is Language.PYTHON and socket is not None:
        raise CannotWrite("--socket is for --language js: a package for Python imports no socket")
    if language is Language.PYTHON:
        _write_package(source, output or Path("asyncapi_client"))
    else:
        _write_module(source, output or Path("asyncapi_client.mjs"), socket)


def _write_package(source: str, folder: Path) -> None:
    from compat.typed.codegen import write_client

    name = folder.resolve().name
    if not name.isidentifier():
        raise CannotWrite(
            f"{name!r} is not a name that Python can import. Choose another folder: --output {name_for(name)}"
        )
    for path in write_client(_document(source), folder):
        print(path)


def _write_module(source: str, path: Path, socket: str | None) -> None:
    from compat.typed.codegen import SOCKET, client_module, write_texts

    if path.is_dir():
        raise CannotWrite(
            f"{path} is a folder, and a module is a file. Name it: --output {path / 'client.mjs'}"
        )
    text = client_module(_document(source), socket=SOCKET if socket is None else socket)
    print(*write_texts({path: text}))
    if socket is None:  # not among the names of files, which a program may read
        print(
            f"The module imports Socket from {SOCKET} of its server. A ProtocolTypeRouter has that; in "
            f'FastAPI and Starlette write app.mount("{SOCKET.rpartition("/")[0]}", compat.client.files). '
            "--socket names another",
            file=sys.stderr,
        )


def name_for(text: str) -> str:
    """Return ``text`` as a package name."""
    name = "".join(char if char.isalnum() else "_" for char in text.lower()).strip("_")
    return name if name.isidentifier() else "client"


def _document(source: str) -> Any:
    path = Path(source)
    if path.is_file():
        return _read(path)
    if ":" in source:
        from compat.typed.asyncapi import document

        search_here()
        return document(load_application(source))
    raise CannotWrite(
        f"there is no file {source!r}. Write it first: channels-compat asyncapi main:app --output {source}"
    )


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CannotWrite(
            f"{path} is not JSON ({error}). This command does not read YAML; write the document as JSON with "
            "channels-compat asyncapi, or download it from /asyncapi.json of the server"
        ) from error
