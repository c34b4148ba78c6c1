"""The schemas of a document as source of pydantic models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, Field, TypeAdapter
from pydantic_core import SchemaError

from compat.typed.asyncapi.schemas import references
from compat.typed.codegen import errors
from compat.typed.codegen.channels import CannotGenerate, names_of
from compat.typed.codegen.python import (
    Bracketed,
    Either,
    Expression,
    assignment,
    docstring,
    identifier,
    literal,
)

__all__ = ["RUNTIME", "Models", "is_field_name"]

Schema = Mapping[str, Any]

RUNTIME = tuple(errors.__all__)
"""The classes of the runtime that a package exports beside its messages."""
SCALARS = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
FORMATS = {
    "date": ("datetime", "date"),
    "date-time": ("datetime", "datetime"),
    "duration": ("datetime", "timedelta"),
    "time": ("datetime", "time"),
    "uuid": ("uuid", "UUID"),
}
ANNOTATED_WITH = frozenset(
    (
        *SCALARS.values(),
        *(module for module, _ in FORMATS.values()),
        *("dict", "list", "object", "set", "tuple"),
        *("Annotated", "Any", "Field", "Literal"),
    )
)
"""The names of which annotations consist, beside those of the models."""
LIMITS = {
    "minLength": "min_length",
    "maxLength": "max_length",
    "minItems": "min_length",
    "maxItems": "max_length",
    "minimum": "ge",
    "exclusiveMinimum": "gt",
    "maximum": "le",
    "exclusiveMaximum": "lt",
    "multipleOf": "multiple_of",
    "pattern": "pattern",
}
RESERVED = frozenset(
    ("Any", "Literal", "Model", "Annotated", "Field", "BaseModel", "ConfigDict", "TypeAlias", *RUNTIME)
)


class Models:
    """Writes a class for each of ``schemas`` with properties, and a type alias for each other one.

    ``names``: the Python names by schema. ``imports``: the imports of the source, by module.
    """

    def __init__(self, schemas: Mapping[str, Schema]) -> None:
        self.schemas = schemas
        self.imports: dict[str, set[str]] = {}
        self.names = names_of(schemas, RESERVED)

    def source(self) -> Iterator[str]:
        """Yield the lines of all classes, each after the classes that it refers to."""
        for key in self._ordered():
            schema = self.schemas[key]
            yield from ("", "")
            if "properties" in schema or (
                schema.get("type") == "object" and "additionalProperties" not in schema
            ):
                yield from self._class(self.names[key], schema)
            else:
                if key in self._reached_from(key):
                    raise CannotGenerate(
                        f"the schema {key!r} refers to itself and is no object, for which Python has no "
                        "plain alias: put it into a field of a model"
                    )
                self._needs("typing", "TypeAlias")
                yield from assignment(f"{self.names[key]}: TypeAlias = ", self.type_of(schema))

    def _reached_from(self, key: str) -> set[str]:
        found: set[str] = set()
        waiting = [key]
        while waiting:
            new = set(references(self.schemas.get(waiting.pop(), {}))) - found
            found |= new
            waiting += new
        return found

    def _ordered(self) -> list[str]:
        ordered: list[str] = []
        visiting: set[str] = set()

        def visit(key: str) -> None:
            if key in visiting or key not in self.schemas:
                return
            visiting.add(key)
            for other in references(self.schemas[key]):
                visit(other)
            ordered.append(key)

        for key in self.schemas:
            visit(key)
        return ordered

    def _class(self, name: str, schema: Schema) -> Iterator[str]:
        yield f"class {name}(Model):"
        body: list[str] = []
        if schema.get("description"):
            body += docstring(schema["description"], "    ")
        fields: list[str] = []
        properties = schema.get("properties", {})
        # pydantic looks the names of an annotation up among the fields with a default first.
        names = names_of(properties, {*ANNOTATED_WITH, *self.names.values()}, _field_name)
        for key, inner in properties.items():
            fields += self._field(key, names[key], inner, key in schema.get("required", ()))
        if body and fields:
            body.append("")
        body += fields
        yield from body or ["    pass"]

    def _field(self, key: str, name: str, schema: Schema, required: bool) -> Iterator[str]:
        default = self._default(schema, required)
        kind = self.type_of(schema)
        if default == "None":
            kind = self.either([kind, "None"])
        arguments = [f"alias={literal(key)}"] if name != key else []
        if not (schema.get("format") or _is_tuple(schema)):
            arguments += [
                f"{LIMITS[one]}={literal(schema[one])}"
                for one in LIMITS
                if one in schema and _is_known(LIMITS[one], schema[one])
            ]
        if arguments:
            self._needs("pydantic", "Field")
            self._needs("typing", "Annotated")
            kind = Bracketed("Annotated", [kind, Bracketed("Field", arguments, "()")])
        yield from assignment(f"{name}: ", kind, "    ", "" if default is None else f" = {default}")

    def _default(self, schema: Schema, required: bool) -> str | None:
        if "const" in schema:  # the tag of a message, which is required on the wire
            return literal(schema["const"])
        if required:
            return None
        value = schema.get("default")
        if value is None or "$ref" in schema or self._has_format(schema):
            return "None"  # not sent unless it is set: the server has the default
        if isinstance(value, (list, dict)):
            return self._collection(schema, value)
        return literal(value)

    def _collection(self, schema: Schema, value: list[Any] | dict[str, Any]) -> str:
        """Return the default ``value``; None if it, or one of its elements, may not be what it is in JSON."""
        inner = schema.get("items") or schema.get("additionalProperties") or {}
        kinds = [one for one in (inner if isinstance(inner, list) else [inner]) if isinstance(one, Mapping)]
        elements = value.values() if isinstance(value, dict) else value
        nested = any(isinstance(one, (list, dict)) for one in elements)
        if "type" not in schema or nested or any(map(self._has_format, kinds)):
            return "None"
        if isinstance(value, list) and _is_tuple(schema):
            return f"({literal(value)[1:-1]}{',' * (len(value) == 1)})" if value else "None"
        if isinstance(value, list) and self._is_set(schema):
            return f"{{{literal(value)[1:-1]}}}" if value else "set()"
        return literal(value)

    def _has_format(self, schema: Schema) -> bool:
        """Return True if values of ``schema`` may be other ones in Python than in JSON, such as dates."""
        if "$ref" in schema:
            schema = self.schemas.get(schema["$ref"].rpartition("/")[2], {})
        options = [one for key in ("anyOf", "oneOf", "allOf") for one in schema.get(key, ())]
        return bool(schema.get("format")) or any(map(self._has_format, options))

    def type_of(self, schema: Schema) -> Expression:
        """Return the annotation for ``schema``."""
        if "$ref" in schema:
            return self.names.get(schema["$ref"].rpartition("/")[2], "object")
        if "const" in schema or "enum" in schema:
            values = [schema["const"]] if "const" in schema else schema["enum"]
            if any(isinstance(value, (dict, list)) for value in values):
                self._needs("typing", "Any")
                return "Any"
            floats = ["float"] if any(isinstance(value, float) for value in values) else []
            exact = [literal(value) for value in values if not isinstance(value, float)]
            if exact:
                self._needs("typing", "Literal")
            return self.either([*([Bracketed("Literal", exact)] if exact else []), *floats])
        for key in ("anyOf", "oneOf"):
            if schema.get(key):
                return self.either(self.type_of(one) for one in schema[key])
        if len(schema.get("allOf", ())) == 1:
            return self.type_of(schema["allOf"][0])
        kinds = schema.get("type")
        if isinstance(kinds, list):
            return self.either(self._of_kind(kind, schema) for kind in kinds)
        return self._of_kind(kinds, schema)

    def either(self, options: Iterable[Expression]) -> Expression:
        """Return the union of ``options`` without repetitions, None last; Any if an option is Any."""
        distinct: dict[str, Expression] = {}
        for option in options:
            for one in option.options if isinstance(option, Either) else (option,):
                distinct[one if isinstance(one, str) else one.flat()] = one
        if "Any" in distinct:
            return "Any"
        none = distinct.pop("None", None)
        ordered = [*distinct.values(), *([none] if none else [])]
        return ordered[0] if len(ordered) == 1 else Either(ordered)

    def _of_kind(self, kind: str | None, schema: Schema) -> Expression:
        if kind == "array":
            return self._array(schema)
        if kind == "object":
            self._needs("typing", "Any")
            inner = schema.get("additionalProperties")
            return Bracketed(
                "dict", ["str", self.type_of(inner) if isinstance(inner, Mapping) and inner else "Any"]
            )
        if kind == "string" and schema.get("format") in FORMATS:
            module, name = FORMATS[schema["format"]]
            self._needs(module, "")
            return f"{module}.{name}"
        if kind in SCALARS:
            return SCALARS[kind]
        self._needs("typing", "Any")
        return "Any"

    def _array(self, schema: Schema) -> Expression:
        items = schema.get("items")
        if isinstance(items, list):
            return Bracketed("tuple", [self.type_of(one) for one in items])
        kind = "set" if self._is_set(schema) else "list"
        return Bracketed(kind, [self.type_of(items or {})])

    def _is_set(self, schema: Schema) -> bool:
        """Return True if the items are different, and scalars: models, lists and dicts have no hash."""
        items = schema.get("items") or {}
        if not schema.get("uniqueItems") or isinstance(items, list):
            return False
        if "$ref" in items:
            items = self.schemas.get(items["$ref"].rpartition("/")[2], {})
        values = [items["const"]] if "const" in items else items.get("enum")
        if values is not None:
            return not any(isinstance(value, (dict, list)) for value in values)
        kind = items.get("type")
        return isinstance(kind, str) and kind in SCALARS

    def _needs(self, module: str, name: str) -> None:
        self.imports.setdefault(module, set()).add(name)


def _is_known(limit: str, value: Any) -> bool:
    """Return True if pydantic can check this limit; its patterns have no look-ahead, for example."""
    if limit != "pattern":
        return isinstance(value, (int, float))
    try:
        TypeAdapter(Annotated[str, Field(pattern=value)])
    except (SchemaError, TypeError):
        return False
    return True


def _is_tuple(schema: Schema) -> bool:
    return isinstance(schema.get("items"), list)


def is_field_name(key: str) -> bool:
    """Return True if the field ``key`` has the same name in Python, so that pydantic can find it by that."""
    return key == _field_name(key) and key not in ANNOTATED_WITH


def _field_name(key: str) -> str:
    """Return a name for the field ``key`` that does not conflict with attributes of pydantic's models."""
    name = identifier(key)
    return f"{name}_" if hasattr(BaseModel, name) or name.startswith("model_") else name
