"""The places where a string is a dotted path: in settings, in a patch, in an import by name."""

from __future__ import annotations

import ast

__all__ = ["MODULES", "PATH_ARGUMENTS", "PATH_CALLS", "is_modules", "is_path_place"]

MODULES = "sys.modules"
PATH_CALLS = {
    "__import__",
    "delattr",
    "find_spec",
    "import_module",
    "import_string",
    "importorskip",
    "include",
    "patch",
    "reload",
    "setattr",
    MODULES,
}
"""Functions whose first argument is a dotted path, and a name for a key of sys.modules."""

PATH_ARGUMENTS = {"dotted_path", "in_dict", "name", "target"}
"""The names of that argument."""

PATH_KEYS = {"BACKEND", "ENGINE", "CLASS", "()"}
PATH_SETTINGS = (
    "APPLICATION",
    "APPS",
    "BACKEND",
    "BACKENDS",
    "CACHES",
    "CLASS",
    "CLASSES",
    "ENGINE",
    "LAYER",
    "LAYERS",
    "MIDDLEWARE",
    "RUNNER",
    "STORAGE",
    "STORAGES",
    "TEMPLATES",
    "URLCONF",
)
"""The ends of the names of settings that hold dotted paths."""


def is_path_place(setting: str, key: str, call: str) -> bool:
    """Return True if a string with this setting, key of a dict and function is a dotted path."""
    return call in PATH_CALLS or key.upper() in PATH_KEYS or setting.endswith(PATH_SETTINGS)


def is_modules(node: ast.expr | None) -> bool:
    """Return True if an expression is ``sys.modules``, or its path as ``patch.dict`` takes it."""
    if isinstance(node, ast.Constant):
        return bool(node.value == MODULES)
    return isinstance(node, ast.Attribute) and ast.unparse(node) == MODULES
