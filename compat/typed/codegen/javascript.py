"""A generated client in JavaScript: one ES2020 module, whose types are JSDoc.

It needs nothing but the ``Socket`` that it imports.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

from compat.typed.codegen.channels import (
    DO_NOT_EDIT,
    PARAMETER,
    Channel,
    Json,
    channels_of,
    names_of,
    reading,
)

__all__ = ["SOCKET", "client_module"]

Schema = Mapping[str, Any]

SOCKET = "/_channels/socket.mjs"
"""Where a server has the socket."""
RESERVED = frozenset(
    (
        *("Array", "Connection", "Map", "Omit", "Options", "Set", "Socket", "Speaker", "Topic"),
        # TypeScript takes these for its own types in JSDoc, whatever a @typedef says.
        *("BigInt", "Boolean", "Function", "Null", "Number", "String", "Undefined", "Void"),
    )
)
SCALARS = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}


def client_module(document: Json, *, socket: str = SOCKET) -> str:
    """Return the source of the module, which imports ``Socket`` from the path or URL ``socket``.

    Raises CannotGenerate unless ``document`` is an AsyncAPI 3 document.
    """
    with reading(document):
        return _module(document, socket)


def _module(document: Json, socket: str) -> str:
    schemas: Mapping[str, Schema] = document.get("components", {}).get("schemas", {})
    names = names_of(schemas, RESERVED)
    channels = channels_of(document, names)
    lines = [*_comment(f"A client for {document['info']['title']}.\n\n{DO_NOT_EDIT}"), ""]
    lines += [f"import {{ Socket }} from {_literal(socket)};", ""]
    types = _Types(names)
    for key, schema in schemas.items():
        lines += [*_comment(schema.get("description", ""), types.definition(key, schema)), ""]
    lines += (files("compat.typed.codegen") / "runtime.mjs").read_text(encoding="utf-8").splitlines()
    for channel in channels:
        lines += ["", *_class(channel, schemas)]
    return "\n".join(lines) + "\n"


class _Types:
    """Writes schemas as types of JSDoc, with ``names`` for schemas."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = names

    def definition(self, key: str, schema: Schema) -> list[str]:
        name = self.names[key]
        properties = schema.get("properties")
        if not properties:
            return [f"@typedef {{{self.of(schema)}}} {name}"]
        required = schema.get("required", ())
        fields = []
        for field, inner in properties.items():
            # The tag of a message is always on the wire.
            optional = "" if field in required or "const" in inner else "?"
            fields.append(f"  {_property(field)}{optional}: {self.of(inner)},")
        return ["@typedef {{", *fields, f"}}}} {name}"]

    def of(self, schema: Schema) -> str:
        if "$ref" in schema:
            return self.names.get(schema["$ref"].rpartition("/")[2], "any")
        if "const" in schema or "enum" in schema:
            values = [schema["const"]] if "const" in schema else schema["enum"]
            return self._either(map(_literal, values))
        for key in ("anyOf", "oneOf"):
            if schema.get(key):
                return self._either(map(self.of, schema[key]))
        if len(schema.get("allOf", ())) == 1:
            return self.of(schema["allOf"][0])
        kinds = schema.get("type")
        if isinstance(kinds, list):
            return self._either(self._of_kind(kind, schema) for kind in kinds)
        return self._of_kind(kinds, schema)

    def _of_kind(self, kind: str | None, schema: Schema) -> str:
        if kind == "array":
            items = schema.get("items")
            if isinstance(items, list):
                return f"[{', '.join(map(self.of, items))}]"
            return f"Array<{self.of(items or {})}>"
        if kind == "object":
            inner = schema.get("additionalProperties")
            return f"{{ [key: string]: {self.of(inner) if isinstance(inner, Mapping) else 'any'} }}"
        return SCALARS.get(kind or "", "any")

    @staticmethod
    def _either(options: Iterator[str]) -> str:
        distinct = dict.fromkeys(options)
        return "any" if "any" in distinct else " | ".join(distinct)


def _class(channel: Channel, schemas: Mapping[str, Schema]) -> Iterator[str]:
    yield from _comment(channel.description)
    yield f"export class {channel.name} extends {'Connection' if channel.topic is None else 'Topic'} {{"
    yield from _indented(_constructor(channel))
    for name, key in channel.sends.items():
        yield ""
        yield from _indented(_send(name, schemas.get(key, {})))
    for name, (key, action) in channel.receives.items():
        tag = schemas.get(key, {}).get("properties", {}).get(channel.discriminator, {})
        yield ""
        yield from _indented(_receive(name, tag.get("enum") or [tag.get("const", action)]))
    yield "}"


def _constructor(channel: Channel) -> Iterator[str]:
    names = channel.parameters
    fields = ", ".join(f"{_property(name)}: string | number" for name in names)
    tags = [f"@param {{{{ {fields} }}}} parameters"] if names else []
    arguments = ["parameters"] if names else []
    filled = _template(channel.pattern, encode=channel.topic is None)
    tag = _literal(channel.discriminator)
    own = [_literal(list(channel.own_names.items()))] if channel.own_names else []
    if channel.topic is None:
        tags.append("@param {Options} [options]")
        arguments.append("options = {}")
        is_subscription = ["true"] if channel.is_subscription else ["false"] if own else []
        values = [tag, filled, "options", *is_subscription, *own]
    else:
        tags.insert(0, "@param {Connection} connection")
        arguments.insert(0, "connection")
        values = [tag, "connection", filled, *own]
    yield from _comment("", tags)
    yield f"constructor({', '.join(arguments)}) {{"
    yield f"  super({', '.join(values)});"
    yield "}"


def _send(name: str, schema: Schema) -> Iterator[str]:
    fields = schema.get("properties", {})
    constants = {field: inner["const"] for field, inner in fields.items() if "const" in inner}
    if not constants:
        yield from _comment("", [f"@param {{{name}}} message"])
        yield f"send{name}(message) {{"
        yield "  this._send(message);"
    else:
        needed = set(schema.get("required", ())) - set(constants)
        kind = f"Omit<{name}, {' | '.join(map(_literal, constants))}>"
        yield from _comment("", [f"@param {{{kind}}} {'message' if needed else '[message]'}"])
        yield f"send{name}(message{'' if needed else ' = {}'}) {{"
        written = ", ".join(f"{_property(field)}: {_literal(value)}" for field, value in constants.items())
        yield f"  this._send({{ {written}, ...message }});"
    yield "}"


def _receive(name: str, tags: list[Any]) -> Iterator[str]:
    yield from _comment(
        "", [f"@param {{(message: {name}) => void}} handler", "@returns {() => void} removes the handler"]
    )
    yield f"on{name}(handler) {{"
    yield f"  return this._on({_literal(tags)}, handler);"
    yield "}"


def _indented(lines: Iterator[str]) -> Iterator[str]:
    return (f"  {line}" for line in lines)


def _comment(text: str, tags: list[str] | None = None) -> Iterator[str]:
    """Yield a JSDoc comment; nothing if there is nothing to say."""
    said = [line.strip() for line in text.strip().splitlines()]
    lines = [*said, *([""] if said and tags else []), *(tags or [])]
    if not lines:
        return
    yield "/**"
    yield from (f" * {line}".rstrip().replace("*/", "*\\/") for line in lines)
    yield " */"


def _literal(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _property(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_$][\w$]*", name, re.ASCII) else _literal(name)


def _template(path: str, *, encode: bool) -> str:
    """Return ``path``, with its parameters in braces, as a template of JavaScript."""
    parts = re.split(PARAMETER, path)
    for index, part in enumerate(parts):
        if index % 2:
            value = f"parameters[{_literal(part)}]"
            parts[index] = f"${{{f'encodeURIComponent({value})' if encode else value}}}"
        else:
            parts[index] = re.sub(r"[`\\]|\$(?=\{)", r"\\\g<0>", part)
    return f"`{''.join(parts)}`"
