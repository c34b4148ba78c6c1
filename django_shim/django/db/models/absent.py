"""The model class that cannot be derived from, and placeholders of Django's own models."""

from __future__ import annotations

from typing import Any

from ...unserved import needs_django

__all__ = ["AbsentModel", "AbsentModelBase"]


class AbsentModelBase(type):
    """Defining a model raises ImportError, which names it. ``absent=True`` makes a placeholder."""

    def __new__(
        mcs,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        absent: bool = False,
        **kwargs: Any,
    ) -> AbsentModelBase:
        if not absent and any(isinstance(base, AbsentModelBase) for base in bases):
            raise ImportError(needs_django(f"The model {namespace.get('__module__')}.{name}"), name="django")
        return super().__new__(mcs, name, bases, namespace, **kwargs)

    def __init__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(name, bases, namespace)

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise AttributeError(needs_django(f"{cls.__module__}.{cls.__name__}.{name}"), name=name)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        raise ImportError(needs_django(f"{cls.__module__}.{cls.__name__}()"), name="django")


class AbsentModel(metaclass=AbsentModelBase, absent=True):
    """``models.Model``"""
