"""``@channel``, ``@ws_handler`` and ``@event_handler``: decorators of consumers and their handlers.

A decorated method stays a function; the arguments are stored on it as a ``Handler``, which its class reads
(``compat.typed.handlers``). Errors in a single handler are raised here, while the class is defined.
"""

from __future__ import annotations

import inspect
import sys
import types
import typing
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, overload

from compat.typed.messages import BaseMessage, literal_values

__all__ = ["ChannelInfo", "Handler", "OutputType", "channel", "event_handler", "handler_of", "ws_handler"]

S = TypeVar("S")
M = TypeVar("M", bound=BaseMessage)
R = TypeVar("R", bound="BaseMessage | None")
C = TypeVar("C", bound=type)

OutputType = Any
"""A message class, a union of them, or a list or tuple of them."""

Method = Callable[[S, M], Coroutine[Any, Any, R]]
Kind = Literal["message", "event"]
ATTRIBUTE = "__compat_handler__"
CHANNEL_ATTRIBUTE = "_compat_channel_info"


@dataclass(frozen=True)
class ChannelInfo:
    """The arguments of ``@channel``, for the documentation of a consumer class."""

    name: str | None = None
    description: str | None = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Handler:
    """A handler: the message that it handles, the messages with which it may answer, and its
    documentation.
    """

    kind: Kind
    name: str
    input_type: type[BaseMessage]
    output_types: tuple[type[BaseMessage], ...]
    where: str
    """``module.Class.method (file:line)``, for error messages."""
    operation: str
    summary: str | None = None
    description: str | None = None
    tags: tuple[str, ...] = ()


def handler_of(attribute: Any) -> Handler | None:
    """Return the ``Handler`` of a decorated attribute, or None."""
    found = getattr(attribute, ATTRIBUTE, None)
    return found if isinstance(found, Handler) else None


@overload
def channel(cls: C, /) -> C: ...


@overload
def channel(
    *, name: str | None = ..., description: str | None = ..., tags: Iterable[str] | None = ...
) -> Callable[[C], C]: ...


def channel(
    cls: Any = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    tags: Iterable[str] | None = None,
) -> Any:
    """Document a consumer class: the name of its channel, a description, and tags.

    Defaults: a name made from that of the class, and its docstring. Only the documentation uses them.
    """
    info = ChannelInfo(name, description, _tags(tags))

    def decorate(cls: C) -> C:
        setattr(cls, CHANNEL_ATTRIBUTE, info)
        return cls

    return decorate if cls is None else decorate(cls)


def _tags(tags: Iterable[str] | None) -> tuple[str, ...]:
    """Return the tags as a tuple; a string is one tag."""
    return (tags,) if isinstance(tags, str) else tuple(tags or ())


@overload
def ws_handler(func: Method[S, M, R], /) -> Method[S, M, R]: ...


@overload
def ws_handler(
    *,
    action: str | None = ...,
    input_type: type[BaseMessage] | None = ...,
    output_type: OutputType = ...,
    description: str | None = ...,
    summary: str | None = ...,
    tags: Iterable[str] | None = ...,
) -> Callable[[Method[S, M, R]], Method[S, M, R]]: ...


def ws_handler(
    func: Any = None,
    /,
    *,
    action: str | None = None,
    input_type: type[BaseMessage] | None = None,
    output_type: OutputType = None,
    description: str | None = None,
    summary: str | None = None,
    tags: Iterable[str] | None = None,
) -> Any:
    """Make an ``async def`` method the handler of the message class that annotates its parameter.

    A returned message is sent to the client; None sends nothing. ``output_type`` documents messages that the
    handler sends otherwise, for example by a broadcast. ``input_type`` replaces the annotation. ``action`` is
    the name of the operation in the documentation (default: the name of the method).

    Raises TypeError for a parameter or a result that is not a message, and for a plain ``def``.
    """
    said = _Said("message", action, input_type, output_type, description, summary, tags)
    return said.of(func, sys._getframe(1)) if func is not None else said.decorator(sys._getframe(1))


@overload
def event_handler(func: Method[S, M, R], /) -> Method[S, M, R]: ...


@overload
def event_handler(
    *,
    input_type: type[BaseMessage] | None = ...,
    output_type: OutputType = ...,
    description: str | None = ...,
    summary: str | None = ...,
    tags: Iterable[str] | None = ...,
) -> Callable[[Method[S, M, R]], Method[S, M, R]]: ...


def event_handler(
    func: Any = None,
    /,
    *,
    input_type: type[BaseMessage] | None = None,
    output_type: OutputType = None,
    description: str | None = None,
    summary: str | None = None,
    tags: Iterable[str] | None = None,
) -> Any:
    """Make an ``async def`` method the handler of an event from the channel layer.

    ``broadcast_event()`` and ``send_event()`` send events; a returned message is sent to the client of this
    consumer. The arguments are those of ``ws_handler``.
    """
    said = _Said("event", None, input_type, output_type, description, summary, tags)
    return said.of(func, sys._getframe(1)) if func is not None else said.decorator(sys._getframe(1))


@dataclass(frozen=True)
class _Said:
    """The arguments of a decorator."""

    kind: Kind
    action: str | None
    input_type: type[BaseMessage] | None
    output_type: OutputType
    description: str | None
    summary: str | None
    tags: Iterable[str] | None

    def decorator(self, frame: types.FrameType) -> Callable[[Any], Any]:
        return lambda function: self.of(function, frame)

    def of(self, function: Any, frame: types.FrameType) -> Any:
        """Store the arguments on ``function`` and return it; ``frame`` is that of the class body, for its
        names.
        """
        where = _where(function)
        if not inspect.iscoroutinefunction(function):
            raise TypeError(f"{where} must be an 'async def', because handlers are awaited")
        scope = _names_around(frame)
        parameter = _parameter(function, where)
        input_type = self.input_type
        if input_type is None:
            input_type = _annotation(function, parameter, scope, where)
        if not (isinstance(input_type, type) and issubclass(input_type, BaseMessage)):
            raise TypeError(
                f"{where}: the annotation of its parameter {parameter!r} is {_shown(input_type)}, which is "
                "not a message. Annotate it with a subclass of BaseMessage; the handler receives its messages"
            )
        output = self.output_type
        if output is None and "return" in function.__annotations__:
            output = _annotation(function, "return", scope, where)
        handler = Handler(
            kind=self.kind,
            name=function.__name__,
            input_type=input_type,
            output_types=tuple(_messages(output, where)),
            where=where,
            operation=self.action or function.__name__,
            summary=self.summary,
            description=self.description or inspect.getdoc(function),
            tags=_tags(self.tags),
        )
        setattr(function, ATTRIBUTE, handler)
        return function


def _parameter(function: Any, where: str) -> str:
    """Return the name of the only parameter besides ``self``."""
    takes = [
        parameter
        for parameter in list(inspect.signature(function).parameters.values())[1:]
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        and parameter.default is parameter.empty
    ]
    if len(takes) != 1:
        found = ", ".join(parameter.name for parameter in takes) or "none"
        raise TypeError(f"{where} must have one parameter besides self; found {found}")
    return takes[0].name


def _annotation(function: Any, name: str, scope: Mapping[str, Any], where: str) -> Any:
    """Return the evaluated annotation of a parameter (or "return")."""
    try:
        annotation = function.__annotations__[name]
    except KeyError:
        raise TypeError(
            f"{where}: its parameter {name!r} has no annotation, which decides which messages it handles. "
            f"Write {name}: SomeMessage, or @ws_handler(input_type=SomeMessage)"
        ) from None
    holder = types.SimpleNamespace(__annotations__={name: annotation})
    try:
        return typing.get_type_hints(holder, function.__globals__, dict(scope))[name]
    except Exception as error:
        hint = "output_type=…" if name == "return" else "input_type=…"
        raise TypeError(
            f"{where}: the annotation {annotation!r} cannot be evaluated ({error}). Its names must exist "
            f"when the class is defined (not only under TYPE_CHECKING); or use {hint}"
        ) from error


def _names_around(frame: types.FrameType) -> dict[str, Any]:
    """Return the names that are visible in a class body: its own, and those of the functions around it."""
    frames = []
    found: types.FrameType | None = frame
    while found is not None and found.f_code.co_name != "<module>":
        frames.append(found)
        in_function = found.f_code.co_flags & inspect.CO_NEWLOCALS
        found = None if in_function else found.f_back
    names: dict[str, Any] = {}
    for outer in reversed(frames):
        names.update(outer.f_locals)
    return names


def _messages(output: Any, where: str) -> Iterable[type[BaseMessage]]:
    """Yield the message classes in ``output``, except those without an action."""
    if output is None or output is type(None) or output is Any or output is typing.NoReturn:
        return
    if isinstance(output, list | tuple) or get_origin(output) in (Union, types.UnionType):
        for member in output if isinstance(output, list | tuple) else get_args(output):
            yield from _messages(member, where)
    elif isinstance(output, type) and issubclass(output, BaseMessage):
        if literal_values(output, "action"):
            yield output
    else:
        raise TypeError(
            f"{where} returns {_shown(output)}: a handler must return a message, which is sent, or None"
        )


def _where(function: Any) -> str:
    name = f"{function.__module__}.{function.__qualname__}"
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f"{name} ({code.co_filename}:{code.co_firstlineno})" if code is not None else name


def _shown(annotation: Any) -> str:
    return annotation.__qualname__ if isinstance(annotation, type) else str(annotation)
