"""A module whose attributes are another module's.

A mirror itself has only its dunder attributes and submodules; other names are read from the target, written
to it and deleted from it. So there is one copy of every class under two paths, and ``mock.patch`` of either
path affects both. (If the target itself were in ``sys.modules`` under the second name, the import system,
pytest and Django would confuse the two packages.)

A deletion undoes the last setting of the name through the mirror, if there was one: pytest's ``monkeypatch``
(from 9.2 on) deletes what it has set, because it finds no such name in the mirror's own dict.

A module customizes itself by setting its ``__class__``, as the Python reference describes.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections import deque
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

__all__ = ["Mirror", "mirror"]

DEPTH = 100
"""So many replacements of a name can be undone; some are never undone by a deletion."""

_MISSING = object()


class Mirror(ModuleType):
    """The class of a mirroring module; see ``mirror``."""

    def __getattr__(self, name: str) -> Any:
        # Only called for what the module's own dict lacks. A dunder of the target (its __path__, say) would
        # be a lie about this module; only __all__ belongs to the names.
        if _is_dunder(name) and name != "__all__":
            raise _missing(self, name)
        if submodule := _own_submodule(self, name):
            self.__dict__[name] = submodule  # mock.patch deletes what it has set
            return submodule
        home, attribute = _home(self, name)
        value = getattr(home, attribute, _MISSING)
        if value is _MISSING or _is_submodule(home, name, value):
            raise _missing(self, name)
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        # A test may replace a submodule, which is this module's own, by what is no module.
        if _is_dunder(name) or name in self.__dict__ or _is_submodule(self, name, value):
            super().__setattr__(name, value)
        else:
            home, attribute = _home(self, name)
            before = _state(self).before.setdefault(name, deque(maxlen=DEPTH))
            before.append(vars(home).get(attribute, _MISSING))  # not what is made when it is read
            setattr(home, attribute, value)

    def __delattr__(self, name: str) -> None:
        if name in self.__dict__:
            super().__delattr__(name)
            return
        home, attribute = _home(self, name)
        before = _state(self).before.get(name)
        value = before.pop() if before else _MISSING
        if value is _MISSING:
            delattr(home, attribute)
        else:
            setattr(home, attribute, value)

    def __dir__(self) -> list[str]:
        state = _state(self)
        # What is not loaded yet may need the real Django: whoever goes through dir() does not ask for that.
        loaded = (name for name, place in state.elsewhere.items() if place.partition(":")[0] in sys.modules)
        target = state.target
        # As __getattr__: the target's submodules are no names of this module's.
        shown = (name for name in dir(target) if not _is_submodule(target, name, vars(target).get(name)))
        return sorted({*self.__dict__, *loaded, *filter(_is_name, shown)})


class _State:
    """The data of a mirror, in one dunder attribute that cannot conflict with mirrored names."""

    def __init__(self, target: ModuleType, elsewhere: Mapping[str, str]) -> None:
        self.target = target
        self.elsewhere = elsewhere
        self.before: dict[str, deque[Any]] = {}
        """What a name stood for before each time that it was set here."""


def mirror(
    name: str,
    target: str,
    *,
    submodules: Iterable[str] = (),
    elsewhere: Mapping[str, str] | None = None,
) -> None:
    """Turn module ``name``, whose last statement this call is, into a mirror of module ``target``.

    ``submodules`` of the target are imported right away (only the root of a package needs that: threads that
    import for the first time under both names at once can meet Python's import-lock detector). ``elsewhere``
    gives names that live in a module other than the target: ``{"Name": "package.module:Name"}``, imported
    when first read. Raises ImportError, which names both modules, if the target does not exist.
    """
    module = sys.modules[name]
    state = _State(_load(name, target), elsewhere or {})
    for submodule in submodules:
        _load_if_there(f"{target}.{submodule}")
    for own, value in list(vars(module).items()):
        if _is_name(own) and not _is_submodule(module, own, value):
            del vars(module)[own]
    if reloaded := vars(module).get("__mirror__"):
        state.before = reloaded.before  # a test may undo later what it has set before
    vars(module)["__mirror__"] = state
    module.__class__ = Mirror


def _load(name: str, target: str) -> ModuleType:
    try:
        loaded = importlib.import_module(target)
    except ModuleNotFoundError as error:
        if not _is_about(error, target):
            raise  # the target is there, and lacks something else
        _refuse_impostor(name)
        raise ImportError(
            f"{name} mirrors {target}, and this version of channels-compat has no {error.name}", name=name
        ) from error
    _refuse_impostor(name)
    return loaded


def _load_if_there(target: str) -> None:
    try:
        importlib.import_module(target)
    except ModuleNotFoundError as error:
        if not _is_about(error, target):
            raise


def _is_about(error: ModuleNotFoundError, target: str) -> bool:
    return error.name is not None and f"{target}.".startswith(f"{error.name}.")


def _refuse_impostor(name: str) -> None:
    """Raise ImportError if a project's own module ``compat`` hides this package."""
    found = sys.modules.get("compat")
    ours = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "compat")
    place = _place(found)
    if found is None or (place is not None and os.path.realpath(place) == os.path.realpath(ours)):
        return
    where = getattr(found, "__file__", None) or place
    raise ImportError(
        f"{name} is served from the package 'compat' of channels-compat ({ours}), but 'import compat' finds "
        f"{where}. Rename that module, or move it into a package of its own.",
        name=name,
        path=where,
    )


def _place(package: ModuleType | None) -> str | None:
    """Return the folder of a package, or None for a plain module."""
    return next(iter(getattr(package, "__path__", ())), None)


def _own_submodule(module: ModuleType, name: str) -> ModuleType | None:
    """Return the submodule ``name`` of the mirroring package, imported if needed, or None.

    ``import channels`` followed by ``channels.db`` works with the real package, where something has imported
    every submodule by then; and ``channels.layers`` must never be ``compat.layers``.
    """
    folder = _place(module)
    if folder is None or not _has_source(os.path.join(folder, name)):
        return None
    return importlib.import_module(f"{module.__name__}.{name}")


def _has_source(path: str) -> bool:
    return os.path.isfile(f"{path}.py") or os.path.isfile(os.path.join(path, "__init__.py"))


def _is_submodule(module: ModuleType, name: str, value: object) -> bool:
    return isinstance(value, ModuleType) and sys.modules.get(f"{module.__name__}.{name}") is value


def _home(module: ModuleType, name: str) -> tuple[ModuleType, str]:
    """Return the module that defines ``name``, and its name there."""
    state = _state(module)
    place = state.elsewhere.get(name)
    if place is None:
        return state.target, name
    home, _, attribute = place.partition(":")
    try:
        return importlib.import_module(home), attribute
    except ImportError as error:
        full = f"{module.__name__}.{name}"
        raise ImportError(
            f"{full} comes from {home}, which cannot be imported: {error}", name=full
        ) from error


def _state(module: ModuleType) -> _State:
    state: _State = vars(module)["__mirror__"]
    return state


def _missing(module: ModuleType, name: str) -> AttributeError:
    return AttributeError(f"module {module.__name__!r} has no attribute {name!r}", name=name, obj=module)


def _is_name(name: str) -> bool:
    return not _is_dunder(name)


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")
