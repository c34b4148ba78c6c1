"""The places where a string is a dotted path: in settings, in a patch, in an import by name."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from compat.cli.porting.records import Text

__all__ = [
    "BEGINNINGS",
    "COMPARED",
    "DISTRIBUTIONS",
    "INSTALLED",
    "MODULES",
    "MODULE_CALLS",
    "NESTED",
    "PATH_ARGUMENTS",
    "PATH_CALLS",
    "conditions_of_removals",
    "is_modules",
    "is_path_place",
    "key_number",
    "last_name",
    "place_of",
    "setting_of",
    "string_of",
]

MODULES = "sys.modules"
PATH_CALLS = {
    "__import__",
    "delattr",
    "find_spec",
    "import_module",
    "import_string",
    "importorskip",
    "include",
    "is_installed",
    "patch",
    "reload",
    "setattr",
    MODULES,
}
"""Functions whose first argument is a dotted path, and a name for a key of sys.modules."""

MODULE_CALLS = {"__import__", "import_module", "importorskip", "include", "find_spec", MODULES}
"""Those that take a module."""

PATH_ARGUMENTS = {"dotted_path", "in_dict", "name", "target"}
"""The names of that argument."""

DISTRIBUTIONS = {"distribution", "files", "get_distribution", "metadata", "require", "requires", "version"}
"""Functions of importlib.metadata and pkg_resources."""

BEGINNINGS = {"removeprefix", "startswith"}
COMPARED = "in"
"""In place of a function: the string is compared with something."""

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

INSTALLED = "INSTALLED_APPS"
NESTED = {"CHANNEL_LAYERS", INSTALLED, "MIDDLEWARE", "TEMPLATES", "CACHES"}
"""Settings that a dict may have as keys."""

OF_DICTS = ("CACHES", "LAYERS", "STORAGES", "TEMPLATES")
KEYED_CALLS = {"config", "env", "get", "getenv", "pop", "setdefault"}
ENVIRONMENTS = {"config", "env", "environ"}
"""``env("NAME")``, ``env.str("NAME")``, ``os.environ.get("NAME")``, ``config("NAME")``."""


def is_path_place(setting: str, key: str, call: str) -> bool:
    """Return True if a string with this setting, key of a dict and function is a dotted path."""
    return call in PATH_CALLS or key.upper() in PATH_KEYS or setting.endswith(PATH_SETTINGS)


def is_modules(node: ast.expr | None) -> bool:
    """Return True if an expression is ``sys.modules``, or its path as ``patch.dict`` takes it."""
    if isinstance(node, ast.Constant):
        return bool(node.value == MODULES)
    return isinstance(node, ast.Attribute) and ast.unparse(node) == MODULES


def key_number(function: ast.expr) -> int | None:
    """Return the number of the argument that is a key or the name of an environment variable, or None."""
    name = last_name(function)
    if name == "getattr":
        return 1
    owner = last_name(function.value) if isinstance(function, ast.Attribute) else ""
    return 0 if name in KEYED_CALLS or owner.lower() in ENVIRONMENTS else None


def place_of(node: ast.expr) -> tuple[str, str]:
    """Return the setting and the key of what a string is compared with; each is "" if there is none."""
    if isinstance(node, ast.Subscript):  # layer["BACKEND"]
        return "", string_of(node.slice)
    if isinstance(node, ast.Call):  # layer.get("BACKEND")
        return "", string_of(node.args[0]) if node.args and last_name(node.func) == "get" else ""
    name = last_name(node)
    # The words of a dict are its keys: "default" in CHANNEL_LAYERS.
    return name if name.isupper() and not name.endswith(OF_DICTS) else "", ""


def setting_of(targets: list[Any]) -> str:
    """Return the upper-case name among the targets of an assignment, without its subscripts, or ""."""
    for target in targets:
        while isinstance(target, ast.Subscript):  # CHANNEL_LAYERS["default"]["BACKEND"]
            target = target.value
        if (name := last_name(target)).isupper():
            return name
    return ""


def string_of(node: ast.expr | None) -> str:
    """Return the value of a plain string, or ""."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def last_name(node: ast.expr) -> str:
    """Return the last part of a dotted name: "patch" of ``mock.patch``; "" of any other expression."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def conditions_of_removals(tree: ast.Module, texts: Sequence[Text]) -> set[Text]:
    """Return the names of apps in conditions under which the settings remove them; both stay as they are.

    if "daphne" in INSTALLED_APPS: INSTALLED_APPS.remove("daphne")
    """
    apps = [text for text in texts if text.setting == INSTALLED]
    removed = [text for text in apps if text.call == "remove"]
    return {
        asked
        for node in (ast.walk(tree) if removed else ())
        if isinstance(node, ast.If | ast.While)
        for text in removed
        if _is_in(text, node.body[0], node.body[-1])
        for asked in apps
        if asked.call == COMPARED and asked.value == text.value and _is_in(asked, node.test, node.test)
    }


def _is_in(text: Text, first: ast.stmt | ast.expr, last: ast.stmt | ast.expr) -> bool:
    return first.lineno <= text.line <= (last.end_lineno or 0)
