"""The two forms of a JSON object: with Python's field names, and with those of a camelCase wire.

A message knows its fields. A JSON object has only the tag of its message: in ``send_json()``, and in a
broadcast from a class with the other form.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from compat.typed.camel import Translate, translator
from compat.typed.messages import BaseMessage, messages_of
from compat.typed.unions import tags_of

__all__ = ["Forms"]


class Forms:
    """Translates the JSON objects of a conversation, whose message classes are ``models``.

    An object with another tag is one of the message classes in this process with that action. What is of no
    message class stays as it is.
    """

    def __init__(self, models: Iterable[type[BaseMessage]], discriminator: str) -> None:
        self._discriminator = discriminator
        self._declared: dict[str, frozenset[type[BaseMessage]]] = {}
        for model in models:
            for tag in tags_of(model, discriminator):
                self._declared[tag] = self._declared.get(tag, frozenset()) | {model}
        self._made: dict[tuple[frozenset[type[BaseMessage]], bool], Translate] = {}

    def on_wire(self, content: Any) -> Any:
        """Return ``content`` with camelCase names of fields."""
        return self._translated(content, to_wire=True)

    def in_python(self, content: Any) -> Any:
        """Return ``content`` with Python's names of fields."""
        return self._translated(content, to_wire=False)

    def own_names(self, content: Mapping[str, Any]) -> frozenset[str]:
        """Return the names of the envelope that the message ``content`` has for fields of its own."""
        return frozenset().union(*(model._compat_own_sent for model in self._models_of(content)))

    def _models_of(self, content: Mapping[str, Any]) -> frozenset[type[BaseMessage]]:
        tag = content.get(self._discriminator)
        return (self._declared.get(tag) or messages_of(tag)) if isinstance(tag, str) else frozenset()

    def _translated(self, content: Any, to_wire: bool) -> Any:
        models = self._models_of(content) if isinstance(content, dict) else None
        if not models:
            return content
        translate = self._made.get((models, to_wire))
        if translate is None:
            translate = self._made[models, to_wire] = translator(models, to_wire=to_wire)
        return translate(content)
