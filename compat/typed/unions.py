"""One discriminated union for many messages: a frame in, the one message that it is out.

Made once for a consumer. A frame is parsed and validated in one pass, and the tag alone decides which model
it is held against, so an error is about that model and the cost does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from pydantic import TypeAdapter
from pydantic_core import core_schema

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
    return TypeAdapter(_tagged(by_tag, discriminator)) if by_tag else None


def _tagged(by_tag: Mapping[str, list[type[BaseMessage]]], discriminator: str) -> Any:
    """A type with the schema of the union: ``Union[X]`` of a single model would have no tag in pydantic."""

    def schema(cls: type, source: Any, handler: Any) -> core_schema.CoreSchema:
        choices: dict[Any, core_schema.CoreSchema] = {}
        for tag, models in by_tag.items():
            schemas = [handler.generate_schema(model) for model in models]
            choices[tag] = schemas[0] if len(schemas) == 1 else core_schema.union_schema(schemas)
        return core_schema.tagged_union_schema(choices, discriminator=discriminator)

    return type("Messages", (), {"__get_pydantic_core_schema__": classmethod(schema)})
