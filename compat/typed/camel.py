"""camelCase on the wire, snake_case in Python: the names of fields are translated, and nothing else.

Keys of a ``dict`` or inside ``Any`` are the user's data and stay as they are (Chanx translates them too). A
field with an alias of its own keeps it. Pure.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

__all__ = ["reader", "to_camel", "to_snake", "wire_names", "written"]

Translate = Callable[[Any], Any]


def to_camel(name: str) -> str:
    """``room_name`` as ``roomName``; leading underscores stay.

    >>> to_camel("room_name"), to_camel("_own_id"), to_camel("ok")
    ('roomName', '_ownId', 'ok')
    """
    start = len(name) - len(name.lstrip("_"))
    first, *rest = name[start:].split("_")
    return name[:start] + first + "".join(part[:1].upper() + part[1:] for part in rest)


def to_snake(name: str) -> str:
    """The name of a class in small letters.

    >>> to_snake("RoomChat"), to_snake("HTTPRoom")
    ('room_chat', 'http_room')
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def wire_names(model: type[BaseModel]) -> dict[str, str]:
    """The names of ``model``'s fields on the wire, also of computed ones, where they differ from Python's."""
    named: dict[str, Any] = {**model.model_fields, **model.model_computed_fields}
    return {
        name: camel
        for name, field in named.items()
        if field.alias is None
        and getattr(field, "validation_alias", None) is None
        and (camel := to_camel(name)) != name
    }


def reader(annotation: Any) -> Translate:
    """A function that gives parsed JSON for ``annotation`` its Python names; it reads either form."""
    return _reader(annotation, {}) or (lambda value: value)


def _reader(annotation: Any, known: dict[Any, _Models]) -> Translate | None:
    """None where nothing in ``annotation`` has a name to translate."""
    annotation = getattr(annotation, "__value__", annotation)  # type X = ...
    origin = get_origin(annotation)
    if origin is Annotated:
        return _reader(get_args(annotation)[0], known)
    if isinstance(annotation, type) and origin is None:
        return _Models.of((annotation,), known) if issubclass(annotation, BaseModel) else None
    if origin in (Union, types.UnionType):
        return _either(get_args(annotation), known)
    arguments = get_args(annotation)
    if isinstance(origin, type) and issubclass(origin, Mapping) and len(arguments) == 2:
        inner = _reader(arguments[1], known)
        return inner and _over_values(inner)
    if arguments and isinstance(origin, type):
        return _either(arguments, known, items=True)
    return None


def _either(options: tuple[Any, ...], known: dict[Any, _Models], *, items: bool = False) -> Translate | None:
    """For one of several: what is a JSON object is read as any of the models, lists as any of the others."""
    models = tuple(option for option in options if _is_model(option))
    of_object = _Models.of(models, known) if models else None
    others = [one for option in options if option not in models and (one := _reader(option, known))]
    if of_object is None and not others:
        return None

    def translate(value: Any) -> Any:
        if items and isinstance(value, list):
            return [one_of(item) for item in value]
        return one_of(value)

    def one_of(value: Any) -> Any:
        if isinstance(value, dict) and of_object is not None:
            return of_object(value)
        for other in others:
            value = other(value)
        return value

    return translate


def _is_model(option: Any) -> bool:
    """In Python 3.10 ``dict[str, int]`` says that it is a type, and is none for issubclass."""
    return isinstance(option, type) and get_origin(option) is None and issubclass(option, BaseModel)


def _over_values(inner: Translate) -> Translate:
    def translate(value: Any) -> Any:
        return {key: inner(item) for key, item in value.items()} if isinstance(value, dict) else value

    return translate


class _Models:
    """Renames the keys of a JSON object that is one of some models."""

    def __init__(self, models: tuple[type[BaseModel], ...]) -> None:
        self.models = models
        self.names: dict[str, str] = {}
        self.fields: dict[str, Translate] = {}

    @classmethod
    def of(cls, models: tuple[type[BaseModel], ...], known: dict[Any, _Models]) -> _Models:
        """Made once for the same models, so that a model may refer to itself."""
        if models in known:
            return known[models]
        made = known[models] = cls(models)
        for model in models:
            made.names.update({camel: name for name, camel in wire_names(model).items()})
            for name, field in model.model_fields.items():
                inner = _reader(field.annotation, known)
                if inner is not None:
                    made.fields[name] = inner
        return made

    def __call__(self, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        renamed = {self.names.get(key, key): item for key, item in value.items()}
        for name, inner in self.fields.items():
            if name in renamed:
                renamed[name] = inner(renamed[name])
        return renamed


def written(value: Any, dumped: Any) -> Any:
    """``dumped``, which is ``value`` as JSON values by alias, with the names that fields have on the wire."""
    if isinstance(value, BaseModel) and isinstance(dumped, dict):
        names, fields = wire_names(type(value)), _by_alias(type(value))
        return {
            names.get(key, key): written(getattr(value, fields.get(key) or key, None), item)
            for key, item in dumped.items()
        }
    if isinstance(dumped, dict) and isinstance(value, Mapping) and len(value) == len(dumped):
        pairs = zip(dumped.items(), value.values(), strict=True)
        return {key: written(original, item) for (key, item), original in pairs}
    if isinstance(dumped, list) and isinstance(value, list | tuple) and len(value) == len(dumped):
        return [written(original, item) for item, original in zip(dumped, value, strict=True)]
    return dumped


def _by_alias(model: type[BaseModel]) -> dict[str, str]:
    """The names of ``model``'s fields by the names under which they are written."""
    return {field.serialization_alias or name: name for name, field in model.model_fields.items()}
