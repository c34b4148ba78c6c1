"""What is loaded when it is used: ``scope["session"]`` and ``scope["user"]``, and modules of a package.

If Django is loaded, ``base()`` is its own class, so that code which compares ``scope["user"]._wrapped`` with
``django.utils.functional.empty`` works. Our class has the same attributes.
"""

from __future__ import annotations

import copy
import importlib
import operator
import sys
from collections.abc import Callable
from typing import Any

__all__ = ["LazyObject", "SimpleLazyObject", "base", "empty", "fill", "submodules"]

empty: Any = object()
"""The value of ``_wrapped`` until the object is loaded."""


def base() -> type[Any]:
    """Return the base class of stand-ins: Django's if Django is loaded, else ``LazyObject``."""
    loaded = getattr(sys.modules.get("django.utils.functional"), "LazyObject", None)
    return loaded if isinstance(loaded, type) else LazyObject


def fill(stand_in: Any, target: Any) -> None:
    """Have ``stand_in``, Django's or ours, stand for ``target`` from now on."""
    stand_in._wrapped = target


def submodules(package: str, *names: str) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of ``package``, which imports the modules ``names`` when they are used.

    Projects write ``import channels`` and ``channels.security.websocket``, and rely on another library to
    have imported the module.
    """

    def __getattr__(name: str) -> Any:
        if name in names:
            return importlib.import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return __getattr__


def _target(lazy: Any) -> Any:
    """Return the object behind ``lazy``; load it if necessary."""
    if lazy._wrapped is empty:
        lazy._setup()
    return lazy._wrapped


def _forward(operation: Callable[..., Any]) -> Any:
    def method(self: Any, *args: Any) -> Any:
        return operation(_target(self), *args)

    return method


class LazyObject:
    """Behaves as the object in ``_wrapped``, even for ``isinstance``; only ``type()`` shows the difference.

    While ``_wrapped`` is ``empty``, any access calls ``_setup()``, which a subclass implements and which sets
    it.
    """

    _wrapped: Any

    def __init__(self) -> None:
        self._wrapped = empty

    def _setup(self) -> None:
        raise NotImplementedError(f"{type(self).__name__}._setup() must set self._wrapped")

    def __getattribute__(self, name: str) -> Any:
        # hasattr(lazy, "__len__") must be True only if the object has this special method.
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
            raise TypeError("_wrapped cannot be deleted: it is the object that this one stands for")
        delattr(_target(self), name)

    def __repr__(self) -> str:
        # type(self), because self.__class__ is that of the wrapped object.
        return f"<{type(self).__name__}: {'not set' if self._wrapped is empty else repr(self._wrapped)}>"

    def __reduce__(self) -> Any:
        return _itself, (_target(self),)

    def __copy__(self) -> Any:
        return self._blank() if self._wrapped is empty else copy.copy(self._wrapped)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self._blank() if self._wrapped is empty else copy.deepcopy(self._wrapped, memo)

    def _blank(self) -> Any:
        return type(self)()

    # Attributes of the wrapped object.
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
    __add__ = _forward(operator.add)
    __radd__ = _forward(lambda target, other: other + target)
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
    """Unpickle a lazy object as the object that it wraps."""
    return target


class SimpleLazyObject(LazyObject):
    """Stands for the result of ``factory()``, which is called once, at the first access."""

    def __init__(self, factory: Callable[[], Any]) -> None:
        self.__dict__["_factory"] = factory
        super().__init__()

    def _setup(self) -> None:
        self._wrapped = self.__dict__["_factory"]()

    def _blank(self) -> Any:
        return type(self)(self.__dict__["_factory"])
