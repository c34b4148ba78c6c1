"""``channels-compat client``: a Python client from an AsyncAPI document, or straight from an application."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from compat.cli.application import load_application, search_here
from compat.exceptions import CompatError

__all__ = ["NoDocument", "write"]


class NoDocument(CompatError):
    """What was named is no document that a client could be made of."""


def write(source: str, *, output: Path) -> None:
    """Write the client for ``source`` into the folder ``output``, and say which files.

    ``source``: a file with a document as JSON, or "module:name" of an application. Raises NoDocument,
    CannotGenerate, ImproperlyConfigured.
    """
    from compat.typed.codegen import write_client

    name = output.resolve().name
    if not name.isidentifier():
        raise NoDocument(
            f"{name!r} is no name that Python can import. Choose another folder: --output {name_for(name)}"
        )
    for path in write_client(_document(source), output):
        print(path)


def name_for(text: str) -> str:
    """``text`` as the name of a package."""
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
        f"there is no file {source!r}. Make it first: channels-compat asyncapi main:app --output {source}"
    )


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise NoDocument(
            f"{path} is not JSON ({error}). A document in YAML is not read: channels-compat asyncapi writes "
            "either form, and servers have it at /asyncapi.json"
        ) from error
