"""A stand-in for an object that is known later: ``scope["session"]`` and ``scope["user"]``.

Where Django is loaded its own class stands in, so that code which compares ``scope["user"]._wrapped`` with
``django.utils.functional.empty`` goes on working: ``base()`` says which one. Ours answers to the same names.
"""

from __future__ import annotations

import copy
import operator
import sys
from collections.abc import Callable
from typing import Any

__all__ = ["LazyObject", "SimpleLazyObject", "base", "empty"]

empty: Any = object()
"""What ``_wrapped`` is until the object is known."""


def base() -> type[Any]:
    """The class to derive stand-ins from: Django's once Django is loaded, else ``LazyObject``."""
    loaded = getattr(sys.modules.get("django.utils.functional"), "LazyObject", None)
    return loaded if isinstance(loaded, type) else LazyObject


def _target(lazy: Any) -> Any:
    """The object behind ``lazy``, made now if need be."""
    if lazy._wrapped is empty:
        lazy._setup()
    return lazy._wrapped


def _forward(operation: Callable[..., Any]) -> Any:
    def method(self: Any, *args: Any) -> Any:
        return operation(_target(self), *args)

    return method


class LazyObject:
    """Behaves as the object in ``_wrapped``, also to ``isinstance``; only ``type()`` tells them apart.

    While ``_wrapped`` is ``empty``, any access calls ``_setup()``, which a subclass writes and which sets it.
    """

    _wrapped: Any

    def __init__(self) -> None:
        self._wrapped = empty

    def _setup(self) -> None:
        raise NotImplementedError(f"{type(self).__name__}._setup() must set self._wrapped")

    def __getattribute__(self, name: str) -> Any:
        # A special method is there only if the object has one: hasattr(lazy, "__len__") must tell the truth.
        if name in _FORWARDED:
            return getattr(_target(self), name)
        return object.__getattribute__(self, name)

    def __getattr__(self, name: str) -> Any:
        return getattr(_target(self), name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "_wrapped":
            self.__dict__["_wrapped"] = value
        else:
            setattr(_target(self), name, value)

    def __delattr__(self, name: str) -> None:
        if name == "_wrapped":
            raise TypeError("_wrapped cannot be deleted: it is what this object stands for")
        delattr(_target(self), name)

    def __repr__(self) -> str:
        # type(self), here and below: self.__class__ is the object's.
        return f"<{type(self).__name__}: {'not set' if self._wrapped is empty else repr(self._wrapped)}>"

    def __reduce__(self) -> Any:
        return _itself, (_target(self),)

    def __copy__(self) -> Any:
        return self._blank() if self._wrapped is empty else copy.copy(self._wrapped)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self._blank() if self._wrapped is empty else copy.deepcopy(self._wrapped, memo)

    def _blank(self) -> Any:
        return type(self)()

    # The disguise.
    __class__ = property(lambda self: _target(self).__class__)  # pyright: ignore[reportIncompatibleMethodOverride]

    __str__ = _forward(str)
    __bytes__ = _forward(bytes)
    __bool__ = _forward(bool)
    __dir__ = _forward(dir)
    __hash__ = _forward(hash)
    __eq__ = _forward(operator.eq)
    __ne__ = _forward(operator.ne)
    __lt__ = _forward(operator.lt)
    __le__ = _forward(operator.le)
    __gt__ = _forward(operator.gt)
    __ge__ = _forward(operator.ge)
    __len__ = _forward(len)
    __iter__ = _forward(iter)
    __contains__ = _forward(operator.contains)
    __getitem__ = _forward(operator.getitem)
    __setitem__ = _forward(operator.setitem)
    __delitem__ = _forward(operator.delitem)


_FORWARDED = frozenset(
    name for name, value in vars(LazyObject).items() if getattr(value, "__name__", "") == "method"
)


def _itself(target: Any) -> Any:
    """Unpickles a lazy object: as what it stood for."""
    return target


class SimpleLazyObject(LazyObject):
    """Stands for what ``factory()`` returns, called once, when first needed."""

    def __init__(self, factory: Callable[[], Any]) -> None:
        self.__dict__["_factory"] = factory
        super().__init__()

    def _setup(self) -> None:
        self._wrapped = self.__dict__["_factory"]()

    def _blank(self) -> Any:
        return type(self)(self.__dict__["_factory"])
