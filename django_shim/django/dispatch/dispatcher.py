"""``Signal``: a list of receivers, kept weakly unless asked otherwise, sync and async ones mixed."""

from __future__ import annotations

import inspect
import logging
import threading
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

from asgiref.sync import async_to_sync, iscoroutinefunction, sync_to_async

__all__ = ["Signal", "receiver"]

logger = logging.getLogger("django.dispatch")


class _Receiver(NamedTuple):
    key: tuple[Any, Any]
    sender: Any
    """Called for this sender only (compared by identity); None for any."""
    get: Callable[[], Any]
    """The function itself, or None once it is gone."""


class Signal:
    """``connect`` receivers, then ``send``. A receiver is called as ``receiver(signal=, sender=, **named)``.

    ``connect`` with the same receiver and sender (or the same ``dispatch_uid``) twice connects once. Safe to
    use from several threads.
    """

    def __init__(self, use_caching: bool = False) -> None:
        self.receivers: list[_Receiver] = []
        self.lock = threading.Lock()

    def connect(self, receiver: Any, sender: Any = None, weak: bool = True, dispatch_uid: Any = None) -> None:
        """Call ``receiver`` from now on; held weakly unless ``weak=False``: a closure needs another owner."""
        if not callable(receiver) or not _takes_kwargs(receiver):
            raise ValueError(
                f"a receiver takes keyword arguments (signal, sender, **named); {receiver!r} does not"
            )
        key = _key(receiver, sender, dispatch_uid)
        get: Callable[[], Any] = (lambda: receiver) if not weak else _reference(receiver)
        with self.lock:
            if all(one.key != key for one in self._alive()):
                self.receivers.append(_Receiver(key, sender, get))

    def disconnect(self, receiver: Any = None, sender: Any = None, dispatch_uid: Any = None) -> bool:
        """Stop calling it; False if it was not connected."""
        key = _key(receiver, sender, dispatch_uid)
        with self.lock:
            kept = [one for one in self._alive() if one.key != key]
            found = len(kept) < len(self.receivers)
            self.receivers = kept
        return found

    def has_listeners(self, sender: Any = None) -> bool:
        """Would anybody be called for ``sender``?"""
        return bool(self._for(sender))

    def send(self, sender: Any, **named: Any) -> list[tuple[Any, Any]]:
        """Call the receivers in order; pairs of receiver and result. An exception ends it and goes to the
        caller.
        """
        return [(one, _call(one, self, sender, named)) for one in self._for(sender)]

    def send_robust(self, sender: Any, **named: Any) -> list[tuple[Any, Any]]:
        """As ``send``, but an exception is logged and stands in place of the result."""
        results: list[tuple[Any, Any]] = []
        for one in self._for(sender):
            try:
                results.append((one, _call(one, self, sender, named)))
            except Exception as error:  # noqa: BLE001 - the caller asked for exceptions as values
                results.append((one, _logged(one, error)))
        return results

    async def asend(self, sender: Any, **named: Any) -> list[tuple[Any, Any]]:
        """As ``send``, for a caller on the event loop; sync receivers run in a thread."""
        return [(one, await _acall(one, self, sender, named)) for one in self._for(sender)]

    async def asend_robust(self, sender: Any, **named: Any) -> list[tuple[Any, Any]]:
        """As ``send_robust``, for a caller on the event loop."""
        results: list[tuple[Any, Any]] = []
        for one in self._for(sender):
            try:
                results.append((one, await _acall(one, self, sender, named)))
            except Exception as error:  # noqa: BLE001 - the caller asked for exceptions as values
                results.append((one, _logged(one, error)))
        return results

    def _alive(self) -> list[_Receiver]:
        self.receivers = [one for one in self.receivers if one.get() is not None]
        return self.receivers

    def _for(self, sender: Any) -> list[Any]:
        if not self.receivers:
            return []
        with self.lock:
            wanted = [one.get() for one in self._alive() if one.sender is None or one.sender is sender]
        return [one for one in wanted if one is not None]


def receiver(signal: Any, **kwargs: Any) -> Callable[[Any], Any]:
    """Decorator: connect the function to a signal, or to each of several."""

    def decorate(func: Any) -> Any:
        for one in signal if isinstance(signal, (list, tuple)) else [signal]:
            one.connect(func, **kwargs)
        return func

    return decorate


def _key(receiver: Any, sender: Any, dispatch_uid: Any) -> tuple[Any, Any]:
    if dispatch_uid:
        return dispatch_uid, id(sender)
    bound = getattr(receiver, "__self__", None)
    return (id(bound), id(receiver.__func__)) if hasattr(receiver, "__func__") else id(receiver), id(sender)


def _reference(receiver: Any) -> Callable[[], Any]:
    return weakref.WeakMethod(receiver) if inspect.ismethod(receiver) else weakref.ref(receiver)


def _takes_kwargs(receiver: Any) -> bool:
    try:
        parameters = inspect.signature(receiver).parameters.values()
    except (TypeError, ValueError):
        return True  # a builtin that does not say
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)


def _call(receiver: Any, signal: Signal, sender: Any, named: dict[str, Any]) -> Any:
    function = async_to_sync(receiver) if iscoroutinefunction(receiver) else receiver
    return function(signal=signal, sender=sender, **named)


async def _acall(receiver: Any, signal: Signal, sender: Any, named: dict[str, Any]) -> Any:
    function: Any = receiver if iscoroutinefunction(receiver) else sync_to_async(receiver)
    return await function(signal=signal, sender=sender, **named)


def _logged(receiver: Any, error: Exception) -> Exception:
    name = getattr(receiver, "__qualname__", repr(receiver))
    logger.error("receiver %s failed: %s", name, error, exc_info=error)
    return error
