"""The package of a generated client:

    messages.py     a pydantic model for each schema
    channels.py     a class for each channel, which sends and receives its messages
    connection.py   the runtime, a copy of ``compat.typed.codegen.connection``
    errors.py       its errors, a copy of ``compat.typed.codegen.errors``

It needs pydantic and websockets, but not channels-compat.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.resources import files
from pathlib import Path

from compat.typed.codegen.channels import DO_NOT_EDIT, Channel, Json, channels_of, names_of, reading
from compat.typed.codegen.models import RUNTIME, Models, is_field_name
from compat.typed.codegen.output import write_texts
from compat.typed.codegen.python import (
    WIDTH,
    Bracketed,
    Either,
    Expression,
    assignment,
    docstring,
    identifier,
    literal,
)

__all__ = ["client_files", "write_client"]

ARGUMENTS = ("cls", "base_url", "query", "headers")
"""The arguments of every ``connect()``."""
RUNTIME_IN = "compat.typed.codegen"
COPIED = ("connection.py", "errors.py")
BASE_MODEL = '''

class Model(BaseModel):
    """Base of all messages. A None that was never set is left out of what is sent."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)

    @model_serializer(mode="wrap")
    def _without_unset(self, handler: Any) -> dict[str, Any]:
        dumped: dict[str, Any] = handler(self)
        for name, field in type(self).model_fields.items():
            if name not in self.model_fields_set and getattr(self, name) is None:
                dumped.pop(field.alias or name, None)
        return dumped
'''


def write_client(document: Json, folder: Path) -> list[Path]:
    """Write the client for ``document`` into ``folder``, over the files of an earlier one; return the
    files.

    Raises CannotGenerate as ``client_files()`` does, and for files of other origin in their places.
    """
    return write_texts({folder / name: text for name, text in client_files(document).items()})


def client_files(document: Json) -> dict[str, str]:
    """Return the files of the client by name. Raises CannotGenerate unless ``document`` is an AsyncAPI 3
    document.
    """
    with reading(document):
        texts = _texts(document)
        for name, text in texts.items():
            compile(text, name, "exec", dont_inherit=True)
    return texts


def _texts(document: Json) -> dict[str, str]:
    models = Models(document.get("components", {}).get("schemas", {}))
    classes = [_ChannelClass(one) for one in channels_of(document, models.names)]
    return {
        "__init__.py": _lines(_package(document, classes, models)),
        "channels.py": _lines(_channels(document, classes)),
        **{name: _copied(name) for name in COPIED},
        "messages.py": _lines(_messages(document, models)),
        "py.typed": "",
    }


def _copied(name: str) -> str:
    """Return a module of the runtime, which imports the others beside it."""
    text = (files(RUNTIME_IN) / name).read_text(encoding="utf-8")
    return text.replace(f"from {RUNTIME_IN}.", "from .")


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(lines) + "\n"


def _messages(document: Json, models: Models) -> Iterator[str]:
    body = list(models.source())  # collects the imports
    yield from docstring(f"The messages of {document['info']['title']}.\n\n{DO_NOT_EDIT}")
    yield from ("", "from __future__ import annotations", "")
    plain = sorted(module for module, names in models.imports.items() if "" in names)
    yield from (f"import {module}" for module in plain)
    models.imports.setdefault("typing", set()).add("Any")
    yield f"from typing import {', '.join(sorted(models.imports['typing']))}"
    yield ""
    names = {"BaseModel", "ConfigDict", "model_serializer", *models.imports.get("pydantic", ())}
    yield f"from pydantic import {', '.join(sorted(names))}"
    yield from BASE_MODEL.splitlines()
    yield from body


class _ChannelClass:
    """Writes the class of a channel."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel

    def source(self) -> Iterator[str]:
        channel = self.channel
        outgoing, incoming = f"{channel.name}Outgoing", f"{channel.name}Incoming"
        yield from _union(outgoing, channel.sends)
        yield from _union(incoming, channel.receives)
        yield from ("", "")
        base = Bracketed("Connection" if channel.topic is None else "Topic", [outgoing, incoming])
        yield from assignment(f"class {channel.name}", Bracketed("", [base], "()"), "", ":")
        yield from docstring(channel.description, "    ")
        yield ""
        if channel.topic is not None:
            yield f"    pattern = {literal(channel.pattern)}"
        else:
            yield f"    address = {literal(channel.address)}"
            if channel.is_subscription:
                yield "    is_topic = True"
        if channel.discriminator != "action":
            yield f"    discriminator = {literal(channel.discriminator)}"
        if channel.own_names:
            names = [
                f"{literal(tag)}: {{{', '.join(map(literal, own))}}}"
                for tag, own in channel.own_names.items()
            ]
            yield from assignment("own_names = ", Bracketed("", names, "{}"), "    ")
        kind: Expression = incoming if channel.receives else "object"
        if channel.tagged and is_field_name(channel.discriminator):
            kind = Bracketed(
                "Annotated", [incoming, f"Field(discriminator={literal(channel.discriminator)})"]
            )
        yield from assignment("incoming = ", Bracketed("TypeAdapter", [kind], "()"), "    ")
        if channel.topic is None:
            yield from self._connect()

    def _connect(self) -> Iterator[str]:
        names = names_of(self.channel.parameters, ARGUMENTS, identifier)
        yield from (
            "",
            "    @classmethod",
            "    def connect(",
            "        cls,",
            "        base_url: str,",
            "        *,",
        )
        yield from (f"        {names[key]}: str," for key in self.channel.parameters)
        yield "        query: Mapping[str, str] | None = None,"
        yield "        headers: Mapping[str, str] | None = None,"
        yield f"    ) -> AbstractAsyncContextManager[{self.channel.name}]:"
        yield '        """Connect to the server at ``base_url``, such as ws://localhost:8000."""'
        given = [f"{literal(key)}: {names[key]}" for key in self.channel.parameters]
        parameters: Expression = Bracketed("", given, "{}")
        yield from assignment(
            "url = ", Bracketed("cls.url", ["base_url", parameters, "query"], "()"), "        "
        )
        yield "        return cls.at(url, headers=headers)"


def _union(name: str, options: Iterable[str]) -> Iterator[str]:
    classes = [f"messages.{one}" for one in options] or ["NoReturn"]
    yield from assignment(f"{name}: TypeAlias = ", Either(classes))


def _channels(document: Json, classes: list[_ChannelClass]) -> Iterator[str]:
    title = document["info"]["title"]
    yield from docstring(f"The channels of {title}.\n\n{DO_NOT_EDIT}")
    yield from ("", "from __future__ import annotations", "")
    topics = any(one.channel.topic is not None for one in classes)
    connections = any(one.channel.topic is None for one in classes)
    if connections:
        yield "from collections.abc import Mapping"
        yield "from contextlib import AbstractAsyncContextManager"
    never = any(not names for one in classes for names in (one.channel.sends, one.channel.receives))
    tagged = any(one.channel.tagged for one in classes)
    used = {"Annotated": tagged, "NoReturn": never, "TypeAlias": True}
    yield f"from typing import {', '.join(name for name, wanted in used.items() if wanted)}"
    yield ""
    yield f"from pydantic import {'Field, ' if tagged else ''}TypeAdapter"
    yield ""
    yield "from . import messages"
    bases = [name for name, wanted in (("Connection", connections), ("Topic", topics)) if wanted]
    yield f"from .connection import {', '.join(bases)}"
    for index, one in enumerate(classes):
        yield from ("", "") if index else ("",)
        yield from one.source()


def _package(document: Json, classes: list[_ChannelClass], models: Models) -> Iterator[str]:
    yield from docstring(f"A client for {document['info']['title']}.\n\n{DO_NOT_EDIT}")
    yield ""
    exported = {
        "channels": sorted((one.channel.name for one in classes), key=str.lower),
        "errors": list(RUNTIME),
        "messages": sorted(models.names.values(), key=str.lower),
    }
    for module, names in exported.items():
        yield from _import(module, names)
    yield ""
    yield "__all__ = ["
    every = {name for names in exported.values() for name in names}
    yield from (f'    "{name}",' for name in sorted(every))
    yield "]"


def _import(module: str, names: list[str]) -> Iterator[str]:
    flat = f"from .{module} import {', '.join(names)}"
    if not names:
        return
    if len(flat) <= WIDTH:
        yield flat
        return
    yield f"from .{module} import ("
    yield from (f"    {name}," for name in names)
    yield ")"
