"""Decorators about decorators and middleware."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from ..unserved import NOT_A_PACKAGE, attribute_of

__all__ = ["async_only_middleware", "method_decorator", "sync_and_async_middleware", "sync_only_middleware"]

__path__ = NOT_A_PACKAGE
__getattr__ = attribute_of(__name__)


def method_decorator(decorator: Any, name: str = "") -> Callable[[Any], Any]:
    """Use a function decorator (or several) on a method, or on the method ``name`` of a class.

    @method_decorator(csrf_exempt, name="dispatch")
    class Hook(View): ...
    """
    decorators = decorator if isinstance(decorator, (list, tuple)) else [decorator]

    def apply(target: Any) -> Any:
        if not isinstance(target, type):
            return _decorated(decorators, target)
        if not name or not callable(getattr(target, name, None)):
            raise ValueError(
                f"method_decorator(…, name={name!r}): the class {target.__name__} has no method of that name"
            )
        setattr(target, name, _decorated(decorators, getattr(target, name)))
        return target

    return apply


def _decorated(decorators: Any, method: Any) -> Any:
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        # Decorators are made for functions without self: each call binds first.
        bound = functools.partial(method.__get__(self, type(self)))
        functools.update_wrapper(bound, method)
        function: Any = bound
        for decorator in reversed(decorators):
            function = decorator(function)
        return function(*args, **kwargs)

    for decorator in reversed(decorators):
        # A decorator that marks its function (csrf_exempt) has to mark the method, not one call of it.
        def probe(*args: Any, **kwargs: Any) -> Any: ...

        vars(wrapper).update(vars(decorator(probe)))
    functools.update_wrapper(wrapper, method)
    return wrapper


def sync_only_middleware(func: Any) -> Any:
    """This middleware factory gives sync middleware only."""
    func.sync_capable, func.async_capable = True, False
    return func


def async_only_middleware(func: Any) -> Any:
    """This middleware factory gives async middleware only."""
    func.sync_capable, func.async_capable = False, True
    return func


def sync_and_async_middleware(func: Any) -> Any:
    """This middleware factory looks at ``get_response`` and gives what fits."""
    func.sync_capable, func.async_capable = True, True
    return func
