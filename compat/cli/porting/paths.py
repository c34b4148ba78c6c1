"""Where a dotted path in a string leads after the port: a module, a name in it, or an attribute of that name.

patch("channels.layers.InMemoryChannelLayer.send")    the class is in compat.layers, and has send
"""

from __future__ import annotations

import importlib
from functools import cache
from types import ModuleType
from typing import Any, NamedTuple

from compat.cli.moves import NAMES, NAMESAKES, Name, gone, moved_module, moved_name
from compat.cli.porting.served import exists_here, is_public

__all__ = ["Moved", "moved", "resolve"]


class Moved(NamedTuple):
    """The new dotted path, "" if there is none; ``why`` says in that case what is missing."""

    path: str
    why: str


def resolve(module: str, name: str | None) -> Name | None:
    """Return the module and name that ``port`` writes; the name is None for a module.

    Of a library that shares its name with another one, only public names are ours: a name that our module
    only imports may be one of the other library.
    """
    if name is None or name == "*":
        target = None if gone(module) else moved_module(module)
        return Name(target, name) if target is not None else None  # type: ignore[arg-type]
    found = moved_name(module, name)
    if found is None or not _has_namesake(module) or Name(module, name) in NAMES:
        return found
    return found if is_public(*found) else None


def _has_namesake(path: str) -> bool:
    return path.partition(".")[0] in NAMESAKES


@cache
def moved(path: str) -> Moved:
    """Return where the path of a name, or of an attribute below one, leads after the port."""
    parts = path.split(".")
    # The longest module first: what comes after it is a name, and attributes of that.
    for end in range(len(parts) - 1, 0, -1):
        target = resolve(".".join(parts[:end]), parts[end])
        if target is None or not exists_here(*target):
            continue
        rest = parts[end + 1 :]
        lacks = _lacking(target, rest, only_public=_has_namesake(path))
        return Moved("", _gone(path) or lacks) if lacks else Moved(".".join([*target, *rest]), "")
    return Moved("", _gone(path) or "there is nothing of that name here; see docs/porting.md")


def _gone(path: str) -> str | None:
    module, _, name = path.rpartition(".")
    return gone(module, name) if module else gone(path)


def _lacking(target: Name, attributes: list[str], *, only_public: bool) -> str:
    """Return which of the attributes is missing, as "compat.layers has no nope", or ""."""
    if target.module.partition(".")[0] != "compat":
        return ""  # with_django: its modules need the real Django
    try:
        value: Any = getattr(importlib.import_module(target.module), target.name)
    except (ImportError, AttributeError):
        return ""  # it needs an extra
    where = ".".join(target)
    for name in attributes:
        private = only_public and isinstance(value, ModuleType) and not is_public(value.__name__, name)
        if private or not hasattr(value, name):
            return f"{where} has no {name}"
        value, where = getattr(value, name), f"{where}.{name}"
    return ""
