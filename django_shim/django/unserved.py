"""What Django has and the subset lacks: names that say "install Django" where they are asked for.

``from django.shortcuts import get_list_or_404`` raises an ImportError with the cure;
``hasattr(django.shortcuts, "get_list_or_404")`` is False, as it must be. The second needs a module-level
``__getattr__``. The first needs the import system: it asks finders for the missing name only of packages, so
a module that has such names declares an empty ``__path__``. Names that are not in the table behave as
anywhere else.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from .unserved_names import UNSERVED

__all__ = ["NOT_A_PACKAGE", "UnservedNames", "attribute_of", "install_finder", "needs_django"]

ROOT = __name__.rpartition(".")[0]
"""``django``."""

NOT_A_PACKAGE: list[str] = []
"""The ``__path__`` of a plain module: there are no submodules, but the finder below is asked."""


def needs_django(what: str) -> str:
    """The sentence that every such error ends with, about ``what``."""
    return (
        f"{what} needs the real Django: channels-compat brings only the part of Django that a Channels project "
        "cannot do without. Install it (pip install django) and run the same command again."
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
    """A finder that finds nothing: it refuses the names of the table before anybody can say "no such name"."""

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


def _is_loaded() -> bool:
    return vars(sys.modules.get(ROOT, sys)).get("__file__", "") == __file__.replace(
        "unserved.py", "__init__.py"
    )


def install_finder() -> None:
    """Have ``UnservedNames`` asked first; ImportError where this folder is imported under another name."""
    if ROOT != "django":
        raise ImportError(
            f"this folder is served under the name 'django', and was imported as {ROOT!r}: two copies of every class "
            "would be the result. Call django_shim.install(), then import django."
        )
    if UnservedNames not in sys.meta_path:
        sys.meta_path.insert(0, UnservedNames)
