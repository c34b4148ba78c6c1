"""The handlers of a class: a table of the methods that handle its messages, made when the class is
defined.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from compat.advice.handlers import require_list
from compat.typed.camel import reader
from compat.typed.decorators import Handler, Kind, handler_of
from compat.typed.messages import ACTION, BaseMessage, literal_values
from compat.typed.unions import Adapter, tagged, tags_of, union_of

__all__ = ["Handlers", "listed", "merged_messages"]


class Handlers:
    """The handlers of one kind in one class.

    ``methods`` maps a message class to the name of its method, ``handlers`` that name to its ``Handler``.
    ``passed_on`` are messages that are sent to the client unchanged, unless they have a handler.
    ``own_names`` are the names of the envelope that a message has for fields of its own, by its tag.
    """

    def __init__(
        self, cls: type, kind: Kind, discriminator: str, passed_on: Sequence[type[BaseMessage]] = ()
    ) -> None:
        self.discriminator = discriminator
        self.handlers = _collected(cls, kind)
        self.methods: dict[type[BaseMessage], str] = {}
        self._by_action: dict[str, str] = {}
        by_tag: dict[str, Handler] = {}
        for name, handler in self.handlers.items():
            model = handler.input_type
            tags = tags_of(model, discriminator)
            if not tags and model.__pydantic_complete__:
                raise TypeError(
                    f"{handler.where} takes {model.__name__}, which has no action, so no message would ever "
                    "reach it. Annotate it with a message class that has an action"
                )
            for tag in tags:
                if tag in by_tag:
                    raise TypeError(_twice(cls, kind, tag, by_tag[tag], handler))
                by_tag[tag] = handler
            self.methods[model] = name
            self._by_action.update(dict.fromkeys(literal_values(model, ACTION), name))
        self.passed_on = tuple(
            model for model in passed_on if not by_tag.keys() & set(tags_of(model, discriminator))
        )
        self.models = (*self.methods, *self.passed_on)
        self.own_names = tagged(self.methods, discriminator, lambda model: model._compat_own_received)
        self.tags = tuple(tag for model in self.models for tag in tags_of(model, discriminator))
        if all(model.__pydantic_complete__ for model in self.models):
            _ = self.adapter  # incomplete models are left for the first message

    @cached_property
    def adapter(self) -> Adapter | None:
        """The validator of messages for these handlers; None if there are no handlers."""
        return union_of(self.models, self.discriminator)

    @cached_property
    def _readers(self) -> dict[str, Any]:
        return tagged(self.models, self.discriminator, reader)

    def method_for(self, message: BaseMessage) -> str:
        """Return the name of the method that handles ``message``."""
        name = self.methods.get(type(message))
        return name if name is not None else self._by_action[message.action]

    def own_names_in(self, content: Mapping[str, Any]) -> frozenset[str]:
        """Return the names of the envelope that the message in a frame has for fields of its own."""
        tag = content.get(self.discriminator)
        return self.own_names.get(tag, frozenset()) if isinstance(tag, str) else frozenset()

    def refuse_own_topic(self, cls: type) -> None:
        """Raise TypeError if a message has a field ``topic``: in frames of ``cls`` it names the topic."""
        for model, name in self.methods.items():
            if "topic" in model._compat_own_received:
                raise TypeError(
                    f"{cls.__module__}.{cls.__qualname__}.{name} takes {model.__name__}, which has a field "
                    "'topic', and in a frame of a connection with topics that names one of these. Rename the "
                    'field, or only on the wire: Field(alias="about")'
                )

    def in_python(self, content: Any) -> Any:
        """Return the JSON values of a message with the field names of its model instead of camelCase
        names.
        """
        tag = content.get(self.discriminator) if isinstance(content, dict) else None
        translate = self._readers.get(tag) if isinstance(tag, str) else None
        return content if translate is None else translate(content)

    def output_types(self) -> Iterator[type[BaseMessage]]:
        """Yield the message classes with which the handlers may answer."""
        for handler in self.handlers.values():
            yield from handler.output_types
        yield from self.passed_on


def _collected(cls: type, kind: Kind) -> dict[str, Handler]:
    """Return the handlers of ``cls`` and its bases by attribute. An overriding method keeps the handler's
    role.
    """
    found: dict[str, Handler] = {}
    for base in reversed(cls.__mro__):
        for name, attribute in vars(base).items():
            handler = handler_of(attribute)
            if handler is not None and handler.kind == kind:
                _refuse_own_name(cls, name, handler)
                found[name] = handler
            elif name in found and (handler is not None or not callable(attribute)):
                del found[name]  # it has the other role there; or handle_x = None removes the handler
    return found


def _refuse_own_name(cls: type, name: str, handler: Handler) -> None:
    """Raise TypeError if a handler would replace a method of our consumers."""
    for base in cls.__mro__:
        if name in vars(base) and base.__module__.partition(".")[0] == "compat":
            raise TypeError(
                f"{handler.where} would replace the method {base.__qualname__}.{name}. Give the handler "
                f"another name, such as handle_{name}: its annotation decides which messages it handles"
            )


def listed(cls: type, attribute: str, value: Any, of: str) -> tuple[Any, ...]:
    """Return the members of a list attribute. Raise TypeError for a string or a class instead of a list."""
    require_list(cls, attribute, value, of)
    return tuple(value or ())


def _twice(cls: type, kind: Kind, tag: str, first: Handler, second: Handler) -> str:
    return (
        f"{cls.__module__}.{cls.__qualname__} has two {kind} handlers for the action {tag!r}:\n"
        f"  {first.where} takes {first.input_type.__name__}\n"
        f"  {second.where} takes {second.input_type.__name__}\n"
        "The action decides which handler is called: keep one handler, or change the action of one message"
    )


def merged_messages(cls: type, attribute: str) -> tuple[type[BaseMessage], ...]:
    """Return the message classes in a list attribute of ``cls`` and of its bases, without repetitions.

    Raises TypeError for a member that is not a message with an action.
    """
    merged: dict[Any, None] = {}
    for base in cls.__mro__:
        merged.update(dict.fromkeys(listed(cls, attribute, vars(base).get(attribute), "message classes")))
    for model in merged:
        if not (isinstance(model, type) and issubclass(model, BaseMessage) and literal_values(model, ACTION)):
            raise TypeError(
                f"{cls.__module__}.{cls.__qualname__}.{attribute} must hold message classes, each a subclass "
                f"of BaseMessage with an action; found {model!r}"
            )
    return tuple(merged)
