"""Translation of field names: camelCase on the wire, snake_case in Python.

Keys of a ``dict``, or inside ``Any``, are data and stay unchanged (Chanx translates them too). A field with
an alias keeps it.
"""

from __future__ import annotations

import re
import sys
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, RootModel

__all__ = ["reader", "to_camel", "to_snake", "translator", "wire_names", "written"]

Translate = Callable[[Any], Any]


def to_camel(name: str) -> str:
    """Convert ``room_name`` to ``roomName``; leading underscores stay.

    >>> to_camel("room_name"), to_camel("_own_id"), to_camel("ok")
    ('roomName', '_ownId', 'ok')
    """
    start = len(name) - len(name.lstrip("_"))
    first, *rest = name[start:].split("_")
    return name[:start] + first + "".join(part[:1].upper() + part[1:] for part in rest)


def to_snake(name: str) -> str:
    """Convert the name of a class to lower case with underscores.

    >>> to_snake("RoomChat"), to_snake("HTTPRoom")
    ('room_chat', 'http_room')
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def wire_names(model: type[BaseModel]) -> dict[str, str]:
    """Return the wire names of ``model``'s fields, computed ones included, if they differ from Python's."""
    named: dict[str, Any] = {**model.model_fields, **model.model_computed_fields}
    return {
        name: camel
        for name, field in named.items()
        if field.alias is None
        and getattr(field, "validation_alias", None) is None
        and (camel := to_camel(name)) != name
    }


def reader(annotation: Any) -> Translate:
    """Return a function that gives parsed JSON for ``annotation`` its Python names; it accepts both forms."""
    return _reader(annotation, _Known(), object) or (lambda value: value)


def translator(models: Iterable[type[BaseModel]], *, to_wire: bool) -> Translate:
    """Return a function that gives parsed JSON for one of ``models`` the names of the wire, or Python's."""
    return _Models.of(tuple(models), _Known(to_wire))


class _Known(dict[Any, Any]):
    """What has been made for a model, and whether it makes the names of the wire."""

    def __init__(self, to_wire: bool = False) -> None:
        super().__init__()
        self.to_wire = to_wire


def _reader(annotation: Any, known: _Known, owner: type[Any]) -> Translate | None:
    """Return the function, or None if ``annotation``, of a field of ``owner``, has no name to translate."""
    annotation = getattr(annotation, "__value__", annotation)  # type X = ...
    origin = get_origin(annotation)
    if origin is Annotated:
        return _reader(get_args(annotation)[0], known, owner)
    if isinstance(annotation, type) and origin is None:
        if issubclass(annotation, RootModel):
            return _Root.of(annotation, known)
        return _Models.of((annotation,), known) if issubclass(annotation, BaseModel) else None
    if origin in (Union, types.UnionType):
        return _either(get_args(annotation), known, owner)
    if not isinstance(origin, type):  # Literal
        return None
    arguments = tuple(_named(one, owner) if isinstance(one, str) else one for one in get_args(annotation))
    if issubclass(origin, Mapping) and len(arguments) == 2:
        inner = _reader(arguments[1], known, owner)
        return inner and _over_values(inner)
    return _either(arguments, known, owner, items=True)


def _named(name: str, owner: type[Any]) -> Any:
    """Return the type of that name where ``owner`` is: Python 3.10 leaves names in ``list["Model"]``."""
    names: dict[str, Any] = {}
    for base in reversed(owner.__mro__):
        names.update(getattr(sys.modules.get(base.__module__), "__dict__", {}))
        names[base.__name__] = base
    try:
        return eval(name, names)
    except Exception:  # noqa: BLE001 - a model of a function, which only Pydantic knows, or another text
        return Any


def _either(
    options: tuple[Any, ...], known: _Known, owner: type[Any], *, items: bool = False
) -> Translate | None:
    """Return a function for a union: it renames JSON objects as any of the models, and lists as any other
    option.
    """
    models = tuple(option for option in options if _is_model(option))
    of_object = _Models.of(models, known) if models else None
    others = [one for option in options if option not in models and (one := _reader(option, known, owner))]
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
    """Return True for a model with fields; in Python 3.10 ``dict[str, int]`` is a type, which issubclass()
    refuses.
    """
    if not isinstance(option, type) or get_origin(option) is not None:
        return False
    return issubclass(option, BaseModel) and not issubclass(option, RootModel)


def _over_values(inner: Translate) -> Translate:
    def translate(value: Any) -> Any:
        return {key: inner(item) for key, item in value.items()} if isinstance(value, dict) else value

    return translate


class _Root:
    """Renames the keys in what a ``RootModel`` stands for."""

    def __init__(self) -> None:
        self.translate: Translate | None = None

    @classmethod
    def of(cls, model: type[RootModel[Any]], known: _Known) -> _Root:
        """Return the instance for ``model``; it is cached, so that a model may refer to itself."""
        if model in known:
            found: _Root = known[model]
            return found
        made = known[model] = cls()
        made.translate = _reader(model.model_fields["root"].annotation, known, model)
        return made

    def __call__(self, value: Any) -> Any:
        return value if self.translate is None else self.translate(value)


class _Models:
    """Renames the keys of a JSON object that belongs to one of several models."""

    def __init__(self, models: tuple[type[BaseModel], ...]) -> None:
        self.models = models
        self.names: dict[str, str] = {}
        self.fields: dict[str, Translate] = {}

    @classmethod
    def of(cls, models: tuple[type[BaseModel], ...], known: _Known) -> _Models:
        """Return the instance for ``models``; it is cached, so that a model may refer to itself."""
        if models in known:
            found: _Models = known[models]
            return found
        made = known[models] = cls(models)
        for model in models:
            camels = wire_names(model)
            made.names.update(camels if known.to_wire else {camel: name for name, camel in camels.items()})
            for name, field in model.model_fields.items():
                inner = _reader(field.annotation, known, model)
                if inner is not None:
                    aliases = (field.alias, field.validation_alias, field.serialization_alias)
                    keys = (camels.get(name, name) if known.to_wire else name, *aliases)
                    made.fields.update({key: inner for key in keys if isinstance(key, str)})
            for name, computed in model.model_computed_fields.items():
                inner = _reader(computed.return_type, known, model)
                if inner is not None:
                    made.fields[computed.alias or (camels.get(name, name) if known.to_wire else name)] = inner
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
    """Return ``dumped``, the JSON form of ``value`` by alias, with the wire names of fields."""
    if isinstance(value, RootModel):
        return written(value.root, dumped)
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
    """Return a dict of serialization aliases to the names of ``model``'s fields."""
    return {field.serialization_alias or name: name for name, field in model.model_fields.items()}
