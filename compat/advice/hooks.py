"""Warnings about methods of the wrong kind: ``def`` in an async consumer, and ``async def`` in a sync one.

With Channels the clients of such a class may notice nothing: an error is logged when they have left, or a
method never runs. So it is no error here either. The method runs, and a warning names it: a hook when its
class is made, a handler for messages of a channel layer when the first such message arrives. The warning is a
log record, because one of Python's can be made an error (``-W error``), and then the server would not start.
"""

from __future__ import annotations

import dis
import functools
import inspect
import logging
import sys
import types
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from asgiref.sync import async_to_sync

__all__ = [
    "AWAITED",
    "HANDLING",
    "async_text",
    "check_hooks",
    "fitted",
    "plain_text",
    "returns_nothing",
    "string_text",
]

log = logging.getLogger("compat.consumer")

AWAITED = ("connect", "disconnect", "handle", "receive", "receive_json", "send_json")
"""Methods that our consumers await themselves (or call, if they are sync)."""
NOTICES = ("compat_parked", "compat_resumed")
"""Those whose message says nothing, so that they need not take it."""
HANDLING = (
    "http_disconnect",
    "http_request",
    "websocket_connect",
    "websocket_disconnect",
    "websocket_receive",
)
"""Our handlers of the server's messages."""

_told: weakref.WeakKeyDictionary[type, set[str]] = weakref.WeakKeyDictionary()
"""The methods of each class that there has been a warning about."""


def check_hooks(cls: type, *, sync: bool) -> None:
    """Have the hooks of the new class ``cls`` run, whatever their kind; warn about those of the wrong one.

    Also warn if ``groups`` of a websocket consumer is one string: its letters are the groups.
    """
    for name in (*AWAITED, *HANDLING, *NOTICES):
        hook: Any = vars(cls).get(name)
        if isinstance(hook, types.FunctionType) and (name in NOTICES or _is_ours(cls, name)):
            fit: Any = fitted(cls, name, hook, sync=sync)
            if name in AWAITED and not sync and not inspect.iscoroutinefunction(hook):
                fit = _awaitable(hook)
            if fit is not hook:
                setattr(cls, name, fit)
    for name in NOTICES:
        notice: Any = getattr(cls, name, None)
        if _takes_no_message(notice):
            setattr(cls, name, _with_message(notice))
    groups = inspect.getattr_static(cls, "groups", None)
    inherited = any(inspect.getattr_static(base, "groups", None) is groups for base in _consumers(cls))
    if groups and isinstance(groups, str) and not inherited and hasattr(cls, "websocket_connect"):
        file = getattr(sys.modules.get(cls.__module__), "__file__", None) or "?"
        log.warning("%s", string_text(f"{cls.__module__}.{cls.__qualname__}.groups ({file})", groups))


def fitted(cls: type, name: str, method: Any, *, sync: bool) -> Any:
    """Return ``method``, or what runs it where it is ``async def`` in a sync consumer; warn if it is of the
    wrong kind.
    """
    function = getattr(method, "__func__", method)
    if not isinstance(function, types.FunctionType):
        return method  # a callable object, such as database_sync_to_async's, may return a coroutine
    if sync and inspect.iscoroutinefunction(function):
        _warn(cls, name, function, async_text)
        return _running(method)
    if not sync and not inspect.iscoroutinefunction(function) and returns_nothing(function.__code__):
        _warn(cls, name, function, plain_text)
    return method


def plain_text(where: str, name: str) -> str:
    """Return the warning about a plain ``def`` that returns nothing, in an async consumer."""
    return (
        f"{where} is a plain 'def' in an async consumer, which awaits it: Channels raises TypeError after "
        "the call. Here it runs, but it cannot await anything, and holds up the event loop. Write "
        f"'async def {name}', or derive the class from the consumer's sync flavour"
    )


def async_text(where: str, name: str) -> str:
    """Return the warning about an ``async def`` in a sync consumer."""
    return (
        f"{where} is an 'async def' in a sync consumer: Channels calls it and never runs it. Here it runs. "
        f"Write 'def {name}', or derive the class from the consumer's Async flavour"
    )


def string_text(where: str, groups: str) -> str:
    """Return the warning about ``groups`` that is one string."""
    return (
        f"{where} is one string: as in Channels, a connection joins a group for each of its letters. Write "
        f"groups = [{groups!r}]"
    )


def returns_nothing(code: types.CodeType) -> bool:
    """Return True if a function returns None wherever it returns, and not what might be awaited."""
    if code.co_flags & inspect.CO_ITERABLE_COROUTINE:
        return False
    returns, loaded = 0, False
    for step in dis.get_instructions(code):
        if step.opname == "RETURN_CONST" or step.opname == "RETURN_VALUE":
            if not (loaded or (step.opname == "RETURN_CONST" and step.argval is None)):
                return False
            returns += 1
        loaded = step.opname == "LOAD_CONST" and step.argval is None
    return returns > 0


def _consumers(cls: type) -> Iterator[type]:
    return (base for base in cls.__mro__[1:] if hasattr(base, "websocket_connect"))


def _is_ours(cls: type, name: str) -> bool:
    """Return True if a base class of this library has the hook, and so calls it.

    A method ``handle`` of a websocket consumer, for one, is only a name of the application's.
    """
    return any(
        isinstance(vars(base).get(name), types.FunctionType) and base.__module__.partition(".")[0] == "compat"
        for base in cls.__mro__[1:]
    )


def _warn(cls: type, name: str, function: types.FunctionType, text: Callable[[str, str], str]) -> None:
    told = _told.setdefault(cls, set())
    if name not in told:
        told.add(name)
        code = function.__code__
        place = f"{code.co_filename}:{code.co_firstlineno}"
        log.warning("%s", text(f"{cls.__module__}.{cls.__qualname__}.{name} ({place})", name))


class _Done:
    """Has nothing to wait for."""

    def __await__(self) -> Iterator[Any]:
        return iter(())


_DONE = _Done()


def _awaitable(hook: Callable[..., Any]) -> Callable[..., Any]:
    """Return a hook that does what the plain ``hook`` does, and may be awaited also if that returns None."""

    @functools.wraps(hook)
    def call(*args: Any, **kwargs: Any) -> Any:
        returned = hook(*args, **kwargs)
        return _DONE if returned is None else returned

    return call


def _running(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a plain function that runs the coroutine of ``method``."""

    @functools.wraps(method)
    def run(*args: Any, **kwargs: Any) -> Any:
        return async_to_sync(method)(*args, **kwargs)

    return run


def _takes_no_message(notice: Any) -> bool:
    """Return True for a method that takes only ``self``."""
    if not inspect.isfunction(notice):
        return False
    return len(inspect.signature(notice, follow_wrapped=False).parameters) == 1


def _with_message(notice: Callable[[Any], Any]) -> Callable[..., Any]:
    """Return a method that may be given a message, and calls ``notice``, which takes only ``self``."""

    @functools.wraps(notice)
    def taking(consumer: Any, message: Any = None) -> Any:
        return notice(consumer)

    return taking
