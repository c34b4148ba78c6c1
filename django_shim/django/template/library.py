"""``Library``: filters and tags of a project's own (``<app>/templatetags/<name>.py``)."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from ..unserved import lacks, needs_django

__all__ = ["FunctionTag", "InvalidTemplateLibrary", "Library", "stringfilter"]


Function = Callable[..., Any]
F = TypeVar("F", bound=Function)


class InvalidTemplateLibrary(Exception):
    """A module that is no template library."""


@dataclass(frozen=True)
class FunctionTag:
    """A tag that calls a function: shows what it returns, or a template filled with it."""

    function: Function
    takes_context: bool
    template: Any = None


class Library:
    """``register = template.Library()``, then ``@register.filter``, ``simple_tag``, ``inclusion_tag``."""

    __getattr__ = lacks("django.template.Library", "filter_function simple_block_tag tag_function")

    def __init__(self) -> None:
        self.filters: dict[str, Function] = {}
        self.tags: dict[str, Any] = {}

    @overload
    def filter(self, name: F) -> F: ...

    @overload
    def filter(self, name: str | None = None, **flags: Any) -> Callable[[F], F]: ...

    @overload
    def filter(self, name: str, filter_func: F, **flags: Any) -> F: ...

    def filter(self, name: Any = None, filter_func: Any = None, **flags: Any) -> Any:
        """``@register.filter``, ``@register.filter("name", is_safe=True)`` or ``register.filter("name",
        function)``.

        Flags: ``is_safe`` (what goes in as HTML comes out as HTML), ``needs_autoescape``,
        ``expects_localtime``.
        """
        if callable(name):
            return self._add_filter(name.__name__, name, flags)
        if filter_func is not None:
            return self._add_filter(name, filter_func, flags)
        return lambda function: self._add_filter(name or function.__name__, function, flags)

    def _add_filter(self, name: str, function: Any, flags: dict[str, Any]) -> Any:
        for flag in ("expects_localtime", "is_safe", "needs_autoescape"):
            if flag in flags:
                setattr(function, flag, flags[flag])
                setattr(inspect.unwrap(function), flag, flags[flag])
        self.filters[name] = function
        return function

    def simple_tag(self, func: Any = None, takes_context: bool | None = None, name: str | None = None) -> Any:
        """A tag that shows what the function returns, or keeps it: ``{% name arguments as variable %}``."""
        return self._add_function(func, name, takes_context)

    def inclusion_tag(
        self, filename: Any, func: Any = None, takes_context: bool | None = None, name: str | None = None
    ) -> Any:
        """Return a tag that fills the template ``filename`` with the dict that the function returns."""
        return self._add_function(func, name, takes_context, template=filename)

    def _add_function(self, func: Any, name: str | None, takes_context: bool | None, **how: Any) -> Any:
        def add(function: Any) -> Any:
            bare = inspect.unwrap(function)
            self.tags[name or bare.__name__] = FunctionTag(function, bool(takes_context), **how)
            return function

        return add if func is None else add(func)

    def tag(self, name: Any = None, compile_function: Any = None) -> Any:
        """Raises ImportError: a tag that parses for itself is made of Django's nodes."""
        shown = name if isinstance(name, str) else getattr(name, "__name__", "")
        raise ImportError(
            f"{needs_django(f'Library.tag ({shown})')} Or write the tag with simple_tag or inclusion_tag, "
            "which work here.",
            name="django",
        )


def stringfilter(func: F) -> F:
    """Decorator for filters: the first argument arrives as text."""
    from ..utils.safestring import SafeData, mark_safe

    @functools.wraps(func)
    def wrapper(value: Any, *args: Any, **kwargs: Any) -> Any:
        text = str(value)
        result = func(text, *args, **kwargs)
        if isinstance(text, SafeData) and getattr(inspect.unwrap(func), "is_safe", False):
            return mark_safe(result)
        return result

    return wrapper  # type: ignore[return-value]  # as the function, and takes more
