"""What Django has and the subset lacks: names that say "install Django" where they are asked for.

``from django.shortcuts import get_list_or_404`` raises an ImportError with the cure;
``hasattr(django.shortcuts, "get_list_or_404")`` is False, as it must be. The second needs a module-level
``__getattr__``. The first needs the import system, which asks finders for a missing name only of packages: so
each module has a ``__path__``, and a plain module's is empty. The finder below gives both to each module.
Names that are not in the table behave as anywhere else.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from django_shim.finder import around

from .unserved_names import UNSERVED

__all__ = ["SubsetModules", "UnservedModules", "attribute_of", "install_finders", "lacks", "needs_django"]

ROOT = __name__.rpartition(".")[0]
"""``django``."""


def needs_django(what: str) -> str:
    """Return the sentence that every such error ends with, about ``what``."""
    return (
        f"{what} needs the real Django: channels-compat brings only the part of Django that a Channels "
        "project cannot do without. Install it (pip install django) and run the same command again."
    )


def attribute_of(module_name: str) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a module: AttributeError, with the cure if Django has the name."""

    def __getattr__(name: str) -> Any:
        full = f"{module_name}.{name}"
        if _is_unserved(full):
            raise AttributeError(needs_django(full), name=name)
        raise AttributeError(f"module {module_name!r} has no attribute {name!r}", name=name)

    return __getattr__


def lacks(path: str, names: str) -> Callable[[Any, str], Any]:
    """The ``__getattr__`` of the class ``path``: ``names``, between spaces, only the real Django has."""
    unserved = frozenset(names.split())

    def __getattr__(self: Any, name: str) -> Any:
        if name in unserved:
            raise AttributeError(needs_django(f"{path}.{name}"), name=name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name)

    return __getattr__


def _is_unserved(full_name: str) -> bool:
    module, _, name = full_name.rpartition(".")
    return module.partition(".")[0] == ROOT and name in UNSERVED.get(module.partition(".")[2], ())


class SubsetModules:
    """The first of ``sys.meta_path``: finds the modules of the subset, and refuses the names of the table."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a module; raise ModuleNotFoundError for a name of the table.

        It says that ``django`` is what was not found, and that is what ``from django import forms`` needs:
        the import system takes an error about ``django.forms`` itself for a mere missing name, and drops the
        text.
        """
        if not name.startswith(f"{ROOT}.") or not _is_loaded():
            return None
        if _is_unserved(name):
            raise ModuleNotFoundError(needs_django(name), name=ROOT)
        import compat  # noqa: F401 - as a whole: threads that import parts of it at once wait for each other

        spec = PathFinder.find_spec(name, path)
        return None if spec is None else around(spec, _run)


def _run(module: ModuleType, load: Callable[[ModuleType], None]) -> None:
    if not hasattr(module, "__path__"):
        module.__path__ = []
    module.__getattr__ = attribute_of(module.__name__)  # type: ignore[method-assign]  # PEP 562
    load(module)


class UnservedModules:
    """The last of ``sys.meta_path``: what nobody has found below ``django`` may be in the real one."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Raise ModuleNotFoundError, about ``name`` itself, so that a mistyped name stays a mistyped name."""
        if name.startswith(f"{ROOT}.") and _is_loaded():
            raise ModuleNotFoundError(needs_django(name), name=name)
        return None


def _is_loaded() -> bool:
    init = os.path.join(os.path.dirname(__file__), "__init__.py")
    return getattr(sys.modules.get(ROOT), "__file__", None) == init


def install_finders() -> None:
    """Have both asked; ImportError where this folder is imported under another name than ``django``."""
    if ROOT != "django":
        raise ImportError(
            f"this folder is served under the name 'django', and was imported as {ROOT!r}: two copies of "
            "every class would be the result. Call django_shim.install(), then import django."
        )
    # Those of an earlier import, if the shim was taken away and came back.
    sys.meta_path[:] = [one for one in sys.meta_path if getattr(one, "__module__", "") != __name__]
    sys.meta_path.insert(0, SubsetModules)
    sys.meta_path.append(UnservedModules)
