"""Objects by their dotted path."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from types import ModuleType
from typing import Any

__all__ = ["cached_import", "import_string", "module_has_submodule"]


def import_string(dotted_path: str) -> Any:
    """Return the attribute that ``"package.module.name"`` names; ImportError says which part is missing."""
    module_path, dot, name = dotted_path.rpartition(".")
    if not dot:
        raise ImportError(f"{dotted_path!r} has no dot in it: a module and a name were expected")
    return cached_import(module_path, name)


def cached_import(module_path: str, class_name: str) -> Any:
    """Return ``class_name`` of the module, which is imported if need be."""
    module = importlib.import_module(module_path)
    try:
        return getattr(module, class_name)
    except AttributeError as error:
        raise ImportError(f"the module {module_path!r} has no {class_name!r}") from error


def module_has_submodule(package: ModuleType, module_name: str) -> bool:
    """Is there a module of that name in ``package``? It is not imported."""
    if not hasattr(package, "__path__"):
        return False
    try:
        return find_spec(f"{package.__name__}.{module_name}") is not None
    except ModuleNotFoundError:
        return False
