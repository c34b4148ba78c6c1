"""Discriminated unions of messages: one validator for all messages of a consumer.

A frame is parsed and validated in one pass. Its tag selects the model, so errors are about this model, and
the cost does not depend on the number of models.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias, TypeVar, cast

from pydantic import TypeAdapter
from pydantic_core import core_schema, from_json, to_json

from compat.typed.messages import ACTION, BaseMessage, literal_values

__all__ = ["Adapter", "tag_field", "tag_of", "tagged", "tags_of", "union_of"]

T = TypeVar("T")
Adapter: TypeAlias = "TypeAdapter[BaseMessage]"


def tag_field(model: type[BaseMessage], discriminator: str) -> str:
    """Return the field of ``model`` that has its tag: ``discriminator`` if it exists, else ``action``."""
    return discriminator if literal_values(model, discriminator) else ACTION


def tags_of(model: type[BaseMessage], discriminator: str) -> tuple[str, ...]:
    """Return the tags of ``model`` on the wire."""
    return literal_values(model, tag_field(model, discriminator))


def tag_of(message: BaseMessage, discriminator: str) -> str:
    """Return the tag of ``message`` on the wire."""
    tag: str = getattr(message, tag_field(type(message), discriminator))
    return tag.value if isinstance(tag, enum.Enum) else tag


def tagged(
    models: Iterable[type[BaseMessage]], discriminator: str, of: Callable[[type[BaseMessage]], T]
) -> dict[str, T]:
    """Return ``of`` each model, if it is anything, by the model's tags on the wire."""
    return {tag: found for model in models if (found := of(model)) for tag in tags_of(model, discriminator)}


def union_of(models: Iterable[type[BaseMessage]], discriminator: str = ACTION) -> Adapter | None:
    """Return the validator of ``models`` by ``discriminator``; None without models.

    Models with the same tag are tried in order. Raises pydantic's error for an incomplete model.
    """
    by_tag: dict[str, list[type[BaseMessage]]] = {}
    for model in models:
        for tag in tags_of(model, discriminator):
            if model not in by_tag.setdefault(tag, []):
                by_tag[tag].append(model)
    if not by_tag:
        return None
    adapter: Adapter = TypeAdapter(_tagged(by_tag, discriminator))
    named_otherwise = [
        one for tag in by_tag.values() for one in tag if tag_field(one, discriminator) == ACTION
    ]
    if discriminator == ACTION or not named_otherwise:
        return adapter
    return cast(Adapter, _Renaming(adapter, named_otherwise, discriminator))


class _Renaming:
    """A validator for a wire on which ``action`` has another name; models receive it as ``action``."""

    def __init__(self, adapter: Adapter, models: Iterable[type[BaseMessage]], discriminator: str) -> None:
        self._adapter = adapter
        self._discriminator = discriminator
        self._by_action = cast(Adapter, union_of(models))
        self._tags = frozenset(tag for model in models for tag in literal_values(model, ACTION))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._adapter, name)

    def validate_python(self, content: Any, **options: Any) -> BaseMessage:
        renamed = self._renamed(content)
        if renamed is None:
            return self._adapter.validate_python(content, **options)
        return self._by_action.validate_python(renamed, **options)

    def validate_json(self, text: str | bytes, **options: Any) -> BaseMessage:
        try:
            renamed = self._renamed(from_json(text))
        except ValueError:  # the adapter raises the error
            renamed = None
        if renamed is None:
            return self._adapter.validate_json(text, **options)
        return self._by_action.validate_json(to_json(renamed), **options)

    def _renamed(self, content: Any) -> dict[str, Any] | None:
        """Return the renamed message; None for a message that is unknown or needs no renaming."""
        tag = content.get(self._discriminator) if isinstance(content, dict) else None
        if not isinstance(tag, str) or tag not in self._tags:
            return None
        others = {key: value for key, value in content.items() if key != self._discriminator}
        return {**others, ACTION: tag}  # last: the client may have sent a key of that name too


def _tagged(by_tag: Mapping[str, list[type[BaseMessage]]], discriminator: str) -> Any:
    """Return a type with the schema of the union; ``Union[X]`` of a single model would have no tag in
    pydantic.
    """

    def schema(cls: type, source: Any, handler: Any) -> core_schema.CoreSchema:
        choices: dict[Any, core_schema.CoreSchema] = {}
        for tag, models in by_tag.items():
            schemas = [handler.generate_schema(model) for model in models]
            choices[tag] = schemas[0] if len(schemas) == 1 else core_schema.union_schema(schemas)
        return core_schema.tagged_union_schema(choices, discriminator=discriminator)

    return type("Messages", (), {"__get_pydantic_core_schema__": classmethod(schema)})
