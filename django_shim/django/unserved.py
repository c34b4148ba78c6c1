"""What Django has and the subset lacks: names that say "install Django" where they are asked for.

``from django.shortcuts import get_list_or_404`` raises an ImportError with the cure;
``hasattr(django.shortcuts, "get_list_or_404")`` is False, as it must be. The second needs a module-level
``__getattr__``. The first needs the import system: it asks finders for the missing name only of packages, so
a module that has such names declares an empty ``__path__``. Names that are not in the table behave as
anywhere else.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from .unserved_names import UNSERVED

__all__ = [
    "NOT_A_PACKAGE",
    "UnservedModules",
    "UnservedNames",
    "attribute_of",
    "install_finders",
    "needs_django",
]

ROOT = __name__.rpartition(".")[0]
"""``django``."""

NOT_A_PACKAGE: list[str] = []
"""The ``__path__`` of a plain module: there are no submodules, but the finder below is asked."""


def needs_django(what: str) -> str:
    """The sentence that every such error ends with, about ``what``."""
    return (
        f"{what} needs the real Django: channels-compat brings only the part of Django that a Channels "
        "project cannot do without. Install it (pip install django) and run the same command again."
    )


def attribute_of(module_name: str) -> Callable[[str], Any]:
    """The ``__getattr__`` of a module: AttributeError, with the cure where Django has the name."""

    def __getattr__(name: str) -> Any:
        full = f"{module_name}.{name}"
        if _is_unserved(full):
            raise AttributeError(needs_django(full), name=name)
        raise AttributeError(f"module {module_name!r} has no attribute {name!r}", name=name)

    return __getattr__


def _is_unserved(full_name: str) -> bool:
    module, _, name = full_name.rpartition(".")
    return module.partition(".")[0] == ROOT and name in UNSERVED.get(module.partition(".")[2], ())


class UnservedNames:
    """The first of ``sys.meta_path``: refuses the names of the table before anybody misses them."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Raise ModuleNotFoundError for a name of the table.

        It says that ``django`` is what was not found, and that is what ``from django import forms`` needs:
        the import system takes an error about ``django.forms`` itself for a mere missing name, and drops the
        text.
        """
        if name.startswith(f"{ROOT}.") and _is_unserved(name) and _is_loaded():
            raise ModuleNotFoundError(needs_django(name), name=ROOT)
        return None


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
    sys.meta_path.insert(0, UnservedNames)
    sys.meta_path.append(UnservedModules)
