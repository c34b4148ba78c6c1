"""The messages of consumers as JSON schemas, to which the document refers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core import core_schema

from compat.typed.asyncapi.examples import example
from compat.typed.camel import reader, to_camel
from compat.typed.messages import ACTION, BaseMessage
from compat.typed.unions import tag_field, union_of
from compat.typed.wire import Wire

__all__ = ["MessageSchemas", "references"]

Mode = Literal["validation", "serialization"]
REFERENCE = "#/components/schemas/{model}"


class MessageSchemas:
    """The schemas of ``messages`` (class, and "validation" if received or "serialization" if sent).

    ``wire``: the form of field names. ``schemas``: the schemas for ``components``; ``key`` returns the name
    of a message's schema.
    """

    def __init__(self, messages: Iterable[tuple[type[BaseMessage], Mode]], wire: Wire) -> None:
        self.wire = wire
        self._wanted = tuple(dict.fromkeys(messages))
        generator = CamelSchema if wire.camelize else GenerateJsonSchema
        references, definitions = models_json_schema(
            self._wanted, ref_template=REFERENCE, schema_generator=generator
        )
        keys = {one: reference["$ref"].rpartition("/")[2] for one, reference in references.items()}
        self._keys: dict[tuple[Any, Any], str] = {pair: _clean(key) for pair, key in keys.items()}
        self.schemas: dict[str, dict[str, Any]] = {
            _clean(key): _for_asyncapi(schema) for key, schema in definitions.get("$defs", {}).items()
        }
        for model, mode in self._wanted:
            self._require_action(model, self.schemas[self._keys[model, mode]])

    def keep_apart(self, others: Mapping[str, dict[str, Any]], form: str) -> None:
        """Rename schemas that differ from those of the same name in ``others``; the new names end in
        ``form``.
        """
        taken = {key for key in self.schemas if key in others and others[key] != self.schemas[key]}
        while more := {
            key
            for key, schema in self.schemas.items()
            if key in others and key not in taken and taken & set(references(schema))
        }:
            taken |= more
        names = {key: _free(f"{key}-{form}", others) for key in sorted(taken)}
        self.schemas = {names.get(key, key): _renamed(one, names) for key, one in self.schemas.items()}
        self._keys = {pair: names.get(key, key) for pair, key in self._keys.items()}

    def key(self, model: type[BaseMessage], mode: Mode) -> str:
        """Return the name of ``model``'s schema."""
        return self._keys[model, mode]

    def example(self, model: type[BaseMessage], mode: Mode) -> Any | None:
        """Return an example message in its wire form; None if no valid example could be made."""
        adapter = union_of([model], self.wire.discriminator)
        if adapter is None:
            return None
        try:
            made = example(self.schemas[self.key(model, mode)], self.schemas)
            if not isinstance(made, dict):
                return None
            adapter.validate_python(reader(model)(made) if self.wire.camelize else made)
        except Exception:  # noqa: BLE001 - a validator of the user may raise any error
            return None
        return made

    def _require_action(self, model: type[BaseMessage], schema: dict[str, Any]) -> None:
        """Make the action required, because it identifies the message, and move it to the front."""
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
    """Convert a schema of pydantic to AsyncAPI: discriminators, tuples, references."""
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


class CamelSchema(GenerateJsonSchema):
    """Generates the schemas of models whose fields are camelCase on the wire."""

    def model_fields_schema(self, schema: core_schema.ModelFieldsSchema) -> JsonSchemaValue:
        fields = {name: _with_alias(name, field) for name, field in schema["fields"].items()}
        computed = [
            {**field, "alias": field.get("alias") or to_camel(field["property_name"])}
            for field in schema.get("computed_fields", ())
        ]
        return super().model_fields_schema({**schema, "fields": fields, "computed_fields": computed})  # type: ignore[typeddict-item]

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> JsonSchemaValue:
        made = super().tagged_union_schema(schema)
        if "discriminator" in made:
            made["discriminator"]["propertyName"] = to_camel(made["discriminator"]["propertyName"])
        return made


def _with_alias(name: str, field: core_schema.ModelField) -> core_schema.ModelField:
    if field.get("validation_alias") is not None:
        return field
    written = field.get("serialization_alias") or to_camel(name)
    return {**field, "validation_alias": to_camel(name), "serialization_alias": written}


def references(schema: Any) -> Iterator[str]:
    """Yield the names of the schemas that ``schema`` refers to."""
    if isinstance(schema, Mapping):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"].rpartition("/")[2]
        for value in schema.values():
            yield from references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from references(value)


def _renamed(schema: Any, names: Mapping[str, str]) -> Any:
    """Return ``schema`` with references to the new names of schemas."""
    if isinstance(schema, list):
        return [_renamed(one, names) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _renamed(value, names) for key, value in schema.items()}
    if isinstance(made.get("$ref"), str):
        key = made["$ref"].rpartition("/")[2]
        made["$ref"] = REFERENCE.format(model=names.get(key, key))
    return made


def _free(name: str, taken: Mapping[str, Any]) -> str:
    return name if name not in taken else _free(f"{name}_", taken)


def description_of(model: type[BaseModel]) -> str | None:
    """Return the first paragraph of the model's docstring, or None."""
    doc = model.__dict__.get("__doc__")
    return " ".join(doc.strip().split("\n\n")[0].split()) if isinstance(doc, str) and doc.strip() else None
