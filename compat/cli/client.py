"""``channels-compat client``: write a Python client for an AsyncAPI document or an application."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from compat.cli.application import load_application, search_here
from compat.exceptions import CompatError

__all__ = ["NoDocument", "write"]


class NoDocument(CompatError):
    """The source is not a document from which a client can be generated."""


def write(source: str, *, output: Path) -> None:
    """Write the client for ``source`` into the folder ``output``, and print the names of its files.

    ``source``: an AsyncAPI document as a JSON file, or an application as "module:name". Raises NoDocument,
    CannotGenerate and ImproperlyConfigured.
    """
    from compat.typed.codegen import write_client

    name = output.resolve().name
    if not name.isidentifier():
        raise NoDocument(
            f"{name!r} is not a name that Python can import. Choose another folder: --output {name_for(name)}"
        )
    for path in write_client(_document(source), output):
        print(path)


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
    raise NoDocument(
        f"there is no file {source!r}. Write it first: channels-compat asyncapi main:app --output {source}"
    )


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise NoDocument(
            f"{path} is not JSON ({error}). This command does not read YAML; write the document as JSON with "
            "channels-compat asyncapi, or download it from /asyncapi.json of the server"
        ) from error
