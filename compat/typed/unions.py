"""One discriminated union for many messages: a frame in, the one message that it is out.

Made once for a consumer. A frame is parsed and validated in one pass, and the tag alone decides which model
it is held against, so an error is about that model and the cost does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias, cast

from pydantic import TypeAdapter
from pydantic_core import core_schema, from_json, to_json

from compat.typed.messages import ACTION, BaseMessage, literal_values

__all__ = ["Adapter", "tag_field", "tags_of", "union_of"]

Adapter: TypeAlias = "TypeAdapter[BaseMessage]"


def tag_field(model: type[BaseMessage], discriminator: str) -> str:
    """The field of ``model`` that holds its tag: ``discriminator`` where there is one, else ``action``."""
    return discriminator if literal_values(model, discriminator) else ACTION


def tags_of(model: type[BaseMessage], discriminator: str) -> tuple[str, ...]:
    """The tags under which ``model`` is known on the wire."""
    return literal_values(model, tag_field(model, discriminator))


def union_of(models: Iterable[type[BaseMessage]], discriminator: str = ACTION) -> Adapter | None:
    """The adapter that tells ``models`` apart by ``discriminator``; None where there are none.

    Models that share a tag are tried in order. Raises what pydantic raises for a model that is not complete.
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
    """An adapter for a wire on which ``action`` has another name: models see it under their own."""

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
        except ValueError:  # which is the adapter's to say
            renamed = None
        if renamed is None:
            return self._adapter.validate_json(text, **options)
        return self._by_action.validate_json(to_json(renamed), **options)

    def _renamed(self, content: Any) -> dict[str, Any] | None:
        """None where there is nothing to rename, or it is no message that is known."""
        tag = content.get(self._discriminator) if isinstance(content, dict) else None
        if not isinstance(tag, str) or tag not in self._tags:
            return None
        return {ACTION: tag, **{key: value for key, value in content.items() if key != self._discriminator}}


def _tagged(by_tag: Mapping[str, list[type[BaseMessage]]], discriminator: str) -> Any:
    """A type with the schema of the union: ``Union[X]`` of a single model would have no tag in pydantic."""

    def schema(cls: type, source: Any, handler: Any) -> core_schema.CoreSchema:
        choices: dict[Any, core_schema.CoreSchema] = {}
        for tag, models in by_tag.items():
            schemas = [handler.generate_schema(model) for model in models]
            choices[tag] = schemas[0] if len(schemas) == 1 else core_schema.union_schema(schemas)
        return core_schema.tagged_union_schema(choices, discriminator=discriminator)

    return type("Messages", (), {"__get_pydantic_core_schema__": classmethod(schema)})
