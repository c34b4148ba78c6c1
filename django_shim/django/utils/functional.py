"""Values that are made when they are first needed."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from compat.lazy import LazyObject, SimpleLazyObject, empty

from ..unserved import NOT_A_PACKAGE, attribute_of

__all__ = [
    "LazyObject",
    "Promise",
    "SimpleLazyObject",
    "cached_property",
    "classproperty",
    "empty",
    "keep_lazy",
    "keep_lazy_text",
    "lazy",
    "lazystr",
    "partition",
]

__path__ = NOT_A_PACKAGE
__getattr__ = attribute_of(__name__)


class cached_property:
    """A property whose value is computed once per instance and then is an ordinary attribute."""

    def __init__(self, func: Callable[[Any], Any]) -> None:
        self.func = func
        self.name = func.__name__
        self.__doc__ = func.__doc__

    def __set_name__(self, owner: type[Any], name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, cls: type[Any] | None = None) -> Any:
        if instance is None:
            return self
        value = instance.__dict__[self.name] = self.func(instance)
        return value


class classproperty:
    """A property of a class: ``method(cls)`` without the parentheses."""

    def __init__(self, method: Callable[[Any], Any] | None = None) -> None:
        self.fget = method

    def __get__(self, instance: Any, cls: type[Any] | None = None) -> Any:
        assert self.fget is not None
        return self.fget(cls)

    def getter(self, method: Callable[[Any], Any]) -> classproperty:
        """Use ``method`` instead."""
        self.fget = method
        return self


class Promise:
    """What every value made by ``lazy`` is an instance of."""


def lazy(func: Callable[..., Any], *resultclasses: type[Any]) -> Callable[..., Any]:
    """``func``, called anew each time its result is used (as text, in a comparison, by attribute)."""

    class Lazy(Promise):
        def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            self._call = functools.partial(func, *args, **kwargs)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._call(), name)

        def __reduce__(self) -> Any:
            return _remade, (func, resultclasses, self._call.args, self._call.keywords)

        def __deepcopy__(self, memo: dict[int, Any]) -> Any:
            return self

        def __eq__(self, other: object) -> bool:
            return bool(self._call() == (other._call() if isinstance(other, Lazy) else other))

        def __lt__(self, other: Any) -> bool:
            return bool(self._call() < (other._call() if isinstance(other, Lazy) else other))

        def __hash__(self) -> int:
            return hash(self._call())

        def __str__(self) -> str:
            return str(self._call())

        def __repr__(self) -> str:
            return repr(self._call())

        def __bytes__(self) -> bytes:
            return bytes(self._call())

        def __bool__(self) -> bool:
            return bool(self._call())

        def __len__(self) -> int:
            return len(self._call())

        def __iter__(self) -> Any:
            return iter(self._call())

        def __contains__(self, item: object) -> bool:
            return item in self._call()

        def __getitem__(self, key: Any) -> Any:
            return self._call()[key]

        def __add__(self, other: Any) -> Any:
            return self._call() + other

        def __radd__(self, other: Any) -> Any:
            return other + self._call()

        def __mod__(self, other: Any) -> Any:
            return self._call() % other

        def __mul__(self, other: Any) -> Any:
            return self._call() * other

        def __format__(self, spec: str) -> str:
            return format(self._call(), spec)

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return Lazy(args, kwargs)

    return wrapper


def _remade(func: Any, resultclasses: Any, args: Any, kwargs: Any) -> Any:
    return lazy(func, *resultclasses)(*args, **kwargs)


def lazystr(text: Any) -> Any:
    """``str(text)``, when it is needed."""
    return lazy(str, str)(text)


def keep_lazy(*resultclasses: type[Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorator: the result is lazy when an argument is, and computed at once otherwise."""
    if not resultclasses:
        raise TypeError("keep_lazy() needs the classes of the result")

    def decorate(func: Callable[..., Any]) -> Callable[..., Any]:
        lazy_func = lazy(func, *resultclasses)

        @functools.wraps(func)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            wait = any(isinstance(value, Promise) for value in (*args, *kwargs.values()))
            return (lazy_func if wait else func)(*args, **kwargs)

        return wrapper

    return decorate


def keep_lazy_text(func: Callable[..., Any]) -> Callable[..., Any]:
    """``keep_lazy(str)``."""
    return keep_lazy(str)(func)


def partition(predicate: Callable[[Any], Any], values: Any) -> tuple[list[Any], list[Any]]:
    """The values for which ``predicate`` is false, and those for which it is true."""
    results: tuple[list[Any], list[Any]] = ([], [])
    for value in values:
        results[bool(predicate(value))].append(value)
    return results
