"""The messages of some consumers as JSON schemas, each once, as a document refers to them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from compat.typed.asyncapi.examples import example
from compat.typed.camel import reader, to_camel
from compat.typed.messages import ACTION, BaseMessage
from compat.typed.unions import tag_field, union_of
from compat.typed.wire import Wire

__all__ = ["MessageSchemas"]

Mode = Literal["validation", "serialization"]
REFERENCE = "#/components/schemas/{model}"


class MessageSchemas:
    """``messages`` (class, "validation" for what is received or "serialization" for what is sent) as schemas.

    ``wire`` says how names look outside. ``schemas`` is what goes under ``components``; ``key`` names a
    message in it.
    """

    def __init__(self, messages: Iterable[tuple[type[BaseMessage], Mode]], wire: Wire) -> None:
        self.wire = wire
        self._wanted = tuple(dict.fromkeys(messages))
        references, definitions = models_json_schema(self._wanted, ref_template=REFERENCE)
        keys = {one: reference["$ref"].rpartition("/")[2] for one, reference in references.items()}
        self._keys: dict[tuple[Any, Any], str] = {pair: _clean(key) for pair, key in keys.items()}
        self.schemas: dict[str, dict[str, Any]] = {
            _clean(key): _for_asyncapi(schema) for key, schema in definitions.get("$defs", {}).items()
        }
        for model, mode in self._wanted:
            self._require_action(model, self.schemas[self._keys[model, mode]])
        if wire.camelize:
            _camelize(self.schemas)

    def key(self, model: type[BaseMessage], mode: Mode) -> str:
        """The name of ``model``'s schema."""
        return self._keys[model, mode]

    def example(self, model: type[BaseMessage], mode: Mode) -> Any | None:
        """A message of this kind as it looks on the wire; None where none that is valid could be made up."""
        made = example(self.schemas[self.key(model, mode)], self.schemas)
        adapter = union_of([model], self.wire.discriminator)
        if adapter is None or not isinstance(made, dict):
            return None
        try:
            adapter.validate_python(reader(model)(made) if self.wire.camelize else made)
        except Exception:  # noqa: BLE001 - a pattern, or a validator of the user's that raises what it likes
            return None
        return made

    def _require_action(self, model: type[BaseMessage], schema: dict[str, Any]) -> None:
        """On the wire an action is required: it tells messages apart. It goes first, under its name there."""
        field = tag_field(model, self.wire.discriminator)
        name = self.wire.discriminator if field == ACTION else field
        properties: dict[str, Any] = schema.get("properties", {})
        if field in properties:
            tag = {key: value for key, value in properties.pop(field).items() if key != "default"}
            schema["properties"] = {name: tag, **properties}
            required = [one for one in schema.get("required", ()) if one != field]
            schema["required"] = [name, *required]


def _clean(key: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "_", key)


def _for_asyncapi(schema: Any) -> Any:
    """What AsyncAPI's schemas say otherwise than pydantic's: discriminators, tuples, references."""
    if isinstance(schema, list):
        return [_for_asyncapi(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _for_asyncapi(value) for key, value in schema.items()}
    if isinstance(made.get("$ref"), str):
        made["$ref"] = REFERENCE.format(model=_clean(made["$ref"].rpartition("/")[2]))
    discriminator = made.get("discriminator")
    if isinstance(discriminator, Mapping) and "propertyName" in discriminator:
        made["discriminator"] = discriminator["propertyName"]
    if "prefixItems" in made:
        made["items"] = made.pop("prefixItems")
    return made


def _camelize(schemas: Mapping[str, dict[str, Any]]) -> None:
    for schema in _objects(schemas.values()):
        schema["properties"] = {to_camel(name): value for name, value in schema["properties"].items()}
        if "required" in schema:
            schema["required"] = [to_camel(name) for name in schema["required"]]


def _objects(values: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """All schemas that have properties, however deep."""
    for value in values:
        if isinstance(value, dict):
            if isinstance(value.get("properties"), dict):
                yield value
            yield from _objects(value.values())
        elif isinstance(value, list):
            yield from _objects(value)


def description_of(model: type[BaseModel]) -> str | None:
    """The first paragraph of the model's docstring."""
    doc = model.__dict__.get("__doc__")
    return " ".join(doc.strip().split("\n\n")[0].split()) if isinstance(doc, str) and doc.strip() else None
