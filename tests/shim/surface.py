"""Prints, as JSON, what each module of the installed channels and channels_redis defines and imports."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import types
from typing import Any

__all__: list[str] = []

PACKAGES = ("channels", "channels_redis")


def modules() -> list[str]:
    """The names of all modules, with those that cannot be imported left out."""
    names = []
    for root in PACKAGES:
        package = importlib.import_module(root)
        names += [root, *(found.name for found in pkgutil.walk_packages(package.__path__, f"{root}."))]
    return names


def kind(value: Any) -> str:
    """ "module", "own" (defined in these packages, or plain data), or "imported" (somebody else's)."""
    if isinstance(value, types.ModuleType):
        return "module"
    home = value.__module__ if inspect.isclass(value) or inspect.isfunction(value) else type(value).__module__
    return "own" if home.partition(".")[0] in (*PACKAGES, "builtins") else "imported"


def members(module: str, value: Any) -> list[str]:
    """Public attributes that a class of this module itself defines."""
    if not inspect.isclass(value) or value.__module__ != module:
        return []
    return [name for name in vars(value) if not name.startswith("_")]


def surface() -> dict[str, dict[str, Any]]:
    """Module to name to what it is."""
    found: dict[str, dict[str, Any]] = {}
    for module in modules():
        names = vars(importlib.import_module(module))
        found[module] = {
            name: {"kind": kind(value), "members": members(module, value)}
            for name, value in names.items()
            if not (name.startswith("__") and name.endswith("__"))
        }
    return found


if __name__ == "__main__":
    print(json.dumps(surface()))
