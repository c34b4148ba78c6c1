"""``Middleware``, and chains of it: ``a >> b`` or ``a | b``, also with plain async functions."""

from __future__ import annotations

import abc
import functools
import inspect
import weakref
from collections.abc import Awaitable, Callable
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, TypeVar, cast

from compat.manager.exceptions import BaseError
from compat.manager.typed import Message

if TYPE_CHECKING:
    from compat.manager.connections.state import Connection
    from compat.manager.consumer.base import BaseConsumer

__all__ = ["UNREADABLE", "Chain", "Entered", "Middleware", "Step", "tell_refused"]

UNREADABLE = "__unreadable__"
"""The type of a message that could not be read: not JSON, not an object, without a type, or too large."""

Step = Callable[[Message, "Connection", "BaseConsumer"], Awaitable["Message | None"]]
"""One step of a chain, called with a message, its connection and consumer; None stops the message."""
Call = TypeVar("Call", bound="Callable[..., Awaitable[Message | None]]")

_entered: ContextVar[list[Middleware] | None] = ContextVar("compat_manager_entered", default=None)
"""The steps that the message of this context has come to; no field of it, as a step may return another."""
_noting_calls: weakref.WeakSet[Any] = weakref.WeakSet()
"""The methods that ``_noting`` has returned."""


def _noting(call: Call) -> Call:
    """Return ``call``, a ``__call__``, which notes its step as one that the message has come to, once."""

    async def noting(self: Middleware, *args: Any, **kwargs: Any) -> Message | None:
        entered = _entered.get()
        if entered is not None and type(self).__call__ is noting:  # or else that of a subclass has noted it
            entered.append(self)
        passed: Message | None = await _bound(call, self)(*args, **kwargs)
        return passed

    if inspect.isfunction(call):  # another object may have no signature
        functools.update_wrapper(noting, call)
    _noting_calls.add(noting)
    return cast("Call", noting)


def _bound(call: Any, step: Middleware) -> Any:
    """Return ``call`` of the class of ``step``, as an attribute of ``step``."""
    bind = getattr(type(call), "__get__", None)
    return call if bind is None else bind(call, step, type(step))


class Middleware(abc.ABC):
    """One step, whose subclass implements ``process``; any number of connections and chains may share it.

    ``a >> b`` makes a new chain of both, and changes neither.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        call = inspect.getattr_static(cls, "__call__")  # its own, or that of any base
        if not (inspect.isfunction(call) and call in _noting_calls):
            cls.__call__ = _noting(call)  # type: ignore[method-assign]

    def __init__(self, next_middleware: Step | None = None) -> None:
        self.next_middleware = None if next_middleware is None else _require_step(next_middleware)

    @abc.abstractmethod
    async def process(
        self, message: Message, connection: Connection, consumer: BaseConsumer
    ) -> Message | None:
        """Return the message for the next step (this one or another), or None to stop it.

        A ``BaseError`` that is raised here is sent to the client as the answer.
        """

    async def refused(self, message: Message, connection: Connection, consumer: BaseConsumer) -> None:
        """Called for a message that could not be read, or that an earlier step has stopped, and for a pong
        that answers no ping.

        A message that could not be read has the type ``UNREADABLE`` and only a size; such a pong has the type
        "pong" and only a size. A ``BaseError`` that is raised here replaces the error that stopped the
        message. The default does nothing.
        """
        return

    async def finished(
        self,
        message: Message,
        connection: Connection,
        consumer: BaseConsumer,
        seconds: float,
        error: BaseException | None,
    ) -> None:
        """Called when ``message`` has been handled, or ``error`` was raised, ``seconds`` after its arrival.

        It is called if the step was, also if that stopped the message, and for the last step first. The
        default does nothing.
        """
        return

    @_noting
    async def __call__(
        self, message: Message, connection: Connection, consumer: BaseConsumer
    ) -> Message | None:
        """Call ``process``, and then ``next_middleware`` if there is one."""
        following_step = self.next_middleware
        try:
            processed = await self.process(message, connection, consumer)
        except BaseError:
            await tell_refused(following_step, message, connection, consumer)
            raise
        if processed is None:
            await tell_refused(following_step, message, connection, consumer)
        if processed is None or following_step is None:
            return processed
        passed: Message | None = await following_step(processed, connection, consumer)
        return passed

    def __rshift__(self, other: Step) -> Chain:
        return Chain(*_links(self), *_links(other))

    def __rrshift__(self, other: Step) -> Chain:
        return Chain(*_links(other), *_links(self))

    __or__ = __rshift__
    __ror__ = __rrshift__


class Chain(Middleware):
    """Several steps in order, used as one step; ``steps`` has them."""

    def __init__(self, *steps: Step) -> None:
        super().__init__()
        self.steps = tuple(_require_step(step) for step in steps)

    async def process(
        self, message: Message, connection: Connection, consumer: BaseConsumer
    ) -> Message | None:
        current = message
        for at, step in enumerate(self.steps, 1):
            try:
                passed = await step(current, connection, consumer)
            except BaseError:
                await self._refused(at, message, connection, consumer)
                raise
            if passed is None:
                await self._refused(at, message, connection, consumer)
                return None
            current = passed
        return current

    async def refused(self, message: Message, connection: Connection, consumer: BaseConsumer) -> None:
        await self._refused(0, message, connection, consumer)

    async def _refused(
        self, start: int, message: Message, connection: Connection, consumer: BaseConsumer
    ) -> None:
        for step in self.steps[start:]:
            await tell_refused(step, message, connection, consumer)


class Entered:
    """The steps that a message has come to, noted in a ``with`` block as it comes to them."""

    __slots__ = ("_steps", "_token")

    def __enter__(self) -> Entered:
        self._steps: list[Middleware] = []
        self._token: Token[list[Middleware] | None] = _entered.set(self._steps)
        return self

    def __exit__(self, *exc_info: object) -> None:
        _entered.reset(self._token)

    async def finish(
        self,
        message: Message,
        connection: Connection,
        consumer: BaseConsumer,
        seconds: float,
        error: BaseException | None,
    ) -> None:
        """Call ``finished`` of each step, the last one first."""
        for step in reversed(self._steps):
            await step.finished(message, connection, consumer, seconds, error)


async def tell_refused(
    step: Step | None, message: Message, connection: Connection, consumer: BaseConsumer
) -> None:
    """Call ``refused`` of ``step`` and of its ``next_middleware``, and so on; skip plain functions."""
    while isinstance(step, Middleware):
        await step.refused(message, connection, consumer)
        step = step.next_middleware


def _links(step: Step) -> tuple[Step, ...]:
    return step.steps if isinstance(step, Chain) and type(step) is Chain else (_require_step(step),)


def _require_step(step: Any) -> Any:
    is_async = inspect.iscoroutinefunction(step) or inspect.iscoroutinefunction(
        getattr(type(step), "__call__", None)  # noqa: B004 - asked for its kind, not whether it is there
    )
    if isinstance(step, Middleware) or is_async:
        return step
    raise TypeError(
        f"a middleware chain is made of Middleware and of async functions (message, connection, consumer), "
        f"and {step!r} is neither; for a class, write an instance of it"
    )
