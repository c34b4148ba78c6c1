"""What ``check`` and ``port`` know of a file: its imports, their uses, and strings that may be dotted names.

``When`` is the time when a reference is resolved: during the import of the module, during a call, or never
(for type checkers).
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

__all__ = ["Import", "References", "Text", "Use", "When"]


class When(str, Enum):
    """The time when a reference is resolved."""

    imported = "imported"
    called = "called"
    never = "never"


class Import(NamedTuple):
    """``import module`` (``name`` is None), or one name of ``from module import name``, which may be ``*``.

    ``level`` counts the dots of a relative import. ``guarded``: inside a ``try`` that handles a failed
    import.
    """

    line: int
    module: str
    name: str | None
    level: int
    when: When
    guarded: bool

    @property
    def spelled(self) -> str:
        module = "." * self.level + self.module
        return f"from {module} import {self.name}" if self.name else f"import {module}"


class Use(NamedTuple):
    """A use of an imported name, as its full dotted path: ``django.db.models.Model``."""

    line: int
    path: str
    when: When


class Text(NamedTuple):
    """A string that may be a dotted name.

    ``setting``: the upper-case name that it is assigned to. ``key``: its key in a dict. ``call``: the
    function whose argument it is. Each is "" if there is none. ``is_path``: its place says that it is a path,
    directly or through a variable.
    """

    line: int
    column: int
    """In bytes of UTF-8, as Python's parser counts."""
    value: str
    setting: str
    key: str
    call: str
    when: When
    is_path: bool


class References(NamedTuple):
    """The references and wrong hooks of a file; ``error`` if it cannot be parsed, ``unread`` if not read."""

    imports: tuple[Import, ...] = ()
    uses: tuple[Use, ...] = ()
    texts: tuple[Text, ...] = ()
    lines: int = 0
    hooks: tuple[tuple[int, str], ...] = ()
    error: tuple[int, str] | None = None
    unread: str = ""
