"""Example values for JSON schemas, for the documentation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["example"]

Schema = Mapping[str, Any]

MAX_DEPTH = 6
"""Deeper than that only what is required has an example; beyond twice as much nothing has."""
BY_FORMAT = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "duration": "PT1H",
    "email": "ada@example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "time": "12:00:00",
    "uri": "https://example.com/",
    "uuid": "3fa85f64-5717-4562-b3fc-2c963f66afa6",
}


def example(schema: Schema, schemas: Mapping[str, Schema], *, depth: int = 0) -> Any:
    """Return a value for ``schema``; ``schemas`` are those that it refers to, by the last part of a
    reference.

    Examples, default, const and enum of the schema come first. Patterns are ignored, so the value may be
    invalid. Raises RecursionError for a schema that requires itself.
    """
    if depth > 2 * MAX_DEPTH:
        raise RecursionError("the schema requires itself")
    schema = _resolved(schema, schemas)
    for given in _given(schema):
        return given
    for key in ("oneOf", "anyOf"):
        if schema.get(key):
            options = [one for one in schema[key] if one.get("type") != "null"] or schema[key]
            if depth >= MAX_DEPTH and len(options) < len(schema[key]):
                return None
            return example(options[0], schemas, depth=depth + 1)
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    if kind == "object" or (kind is None and "properties" in schema):
        return _object(schema, schemas, depth)
    if kind == "array":
        return _array(schema, schemas, depth)
    return _scalar(kind, schema)


def _given(schema: Schema) -> Iterator[Any]:
    """Yield the values that a schema has itself, the best one first."""
    yield from schema.get("examples") or ()
    for key in ("const", "default"):
        if key in schema:
            yield schema[key]
    yield from schema.get("enum") or ()


def _resolved(schema: Schema, schemas: Mapping[str, Schema]) -> Schema:
    for _ in range(MAX_DEPTH):
        if "$ref" in schema:
            rest = {key: value for key, value in schema.items() if key != "$ref"}
            schema = {**schemas.get(schema["$ref"].rpartition("/")[2], {}), **rest}
        elif len(schema.get("allOf", ())) == 1:
            rest = {key: value for key, value in schema.items() if key != "allOf"}
            schema = {**schema["allOf"][0], **rest}
        else:
            break
    return schema


def _object(schema: Schema, schemas: Mapping[str, Schema], depth: int) -> dict[str, Any]:
    properties: Mapping[str, Schema] = schema.get("properties", {})
    required = schema.get("required", ())
    return {
        name: example(inner, schemas, depth=depth + 1)
        for name, inner in properties.items()
        if name in required or depth < MAX_DEPTH
    }


def _array(schema: Schema, schemas: Mapping[str, Schema], depth: int) -> list[Any]:
    items = schema.get("items", {})
    if isinstance(items, list):
        return [example(one, schemas, depth=depth + 1) for one in items]
    count = max(int(schema.get("minItems", 0)), 1 if depth < MAX_DEPTH and items else 0)
    return [example(items, schemas, depth=depth + 1) for _ in range(count)]


def _scalar(kind: str | None, schema: Schema) -> Any:
    if kind == "string":
        text = BY_FORMAT.get(schema.get("format", ""), "string")
        text = text.ljust(int(schema.get("minLength", 0)), "g")
        return text[: schema["maxLength"]] if "maxLength" in schema else text
    if kind in ("integer", "number"):
        return _number(kind, schema)
    return {"boolean": True, "null": None}.get(kind or "", {} if kind == "object" else None)


def _number(kind: str, schema: Schema) -> int | float:
    value: float = 1
    if "minimum" in schema:
        value = max(value, schema["minimum"])
    if "exclusiveMinimum" in schema:
        value = max(value, schema["exclusiveMinimum"] + 1)
    if "maximum" in schema:
        value = min(value, schema["maximum"])
    if "exclusiveMaximum" in schema:
        value = min(value, schema["exclusiveMaximum"] - 1)
    if step := schema.get("multipleOf"):
        value = -(-value // step) * step
    return int(value) if kind == "integer" else value
