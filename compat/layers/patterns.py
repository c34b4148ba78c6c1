"""Options of a layer for some of its groups: ``{pattern: rule}``."""

from __future__ import annotations

import fnmatch
import functools
import re
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

__all__ = ["Patterns"]

REMEMBERED = 4096
"""Groups whose rule is remembered; users may choose the names of groups."""

R = TypeVar("R")


class Patterns(Generic[R]):
    """The rules of an option ``name``, each made by ``make(pattern, given)``; ``example`` is for errors.

    A pattern is a glob or a compiled regular expression; the first one that matches a group counts. Raises
    ValueError.
    """

    def __init__(
        self, name: str, example: str, given: Mapping[Any, Any] | None, make: Callable[[Any, Any], R]
    ) -> None:
        if given is not None and not isinstance(given, Mapping):
            raise ValueError(f"{name} must be a dict of pattern to rule, such as {example}, not {given!r}")
        rules = [(_compiled(name, pattern), make(pattern, rule)) for pattern, rule in (given or {}).items()]
        self._rules = rules
        self.of = functools.lru_cache(REMEMBERED)(self._of)
        """``of(group)`` returns the rule of a group, or None."""

    def __bool__(self) -> bool:
        return bool(self._rules)

    def _of(self, group: str) -> R | None:
        for pattern, rule in self._rules:
            if pattern.match(group):
                return rule
        return None


def _compiled(name: str, pattern: Any) -> re.Pattern[str]:
    if isinstance(pattern, str):
        return re.compile(fnmatch.translate(pattern))
    if not hasattr(pattern, "match"):
        raise ValueError(
            f"{name}: a pattern is a glob such as 'chat_*' or a compiled regular expression, not {pattern!r}"
        )
    if isinstance(getattr(pattern, "pattern", None), bytes):
        raise ValueError(f"{name}: the names of groups are text, and {pattern!r} is a pattern for bytes")
    compiled: re.Pattern[str] = pattern
    return compiled
