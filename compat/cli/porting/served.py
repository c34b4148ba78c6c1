"""What there is to import: under the shim (asked of a child interpreter, once), and in ``compat`` itself."""

from __future__ import annotations

import importlib
import importlib.util
import json
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

import compat
from compat.exceptions import CompatError

__all__ = ["Served", "exists_here", "served"]


class Served(NamedTuple):
    """Names by module, and dotted paths of names that need the real Django once they are used.

    ``templates``: what the engine of the subset refuses, under "tags", "filters" and "libraries".
    """

    modules: Mapping[str, frozenset[str]]
    placeholders: frozenset[str]
    templates: Mapping[str, frozenset[str]]

    def has(self, module: str, name: str | None = None) -> bool:
        """Does ``from module import name`` (or ``import module``) work under the shim?"""
        if name is None or name == "*":
            return module in self.modules
        return name in self.modules.get(module, ()) or f"{module}.{name}" in self.modules

    def placeholder(self, path: str) -> str | None:
        """The placeholder that a dotted path begins with: "django.contrib.auth.models.User" for
        "django.contrib.auth.models.User.objects".
        """
        parts = path.split(".")
        while parts:
            if ".".join(parts) in self.placeholders:
                return ".".join(parts)
            parts.pop()
        return None


@cache
def served() -> Served:
    """What the shim of this installation serves where Django is not installed. Takes about a second, once."""
    # In an interpreter of its own: this one may have the real Django, and is not to have the shim.
    command = [sys.executable, "-W", "ignore", "-m", "django_shim.served"]
    # And in our own folder: the current one may have a module with the name of one that is imported.
    ours = Path(compat.__file__).parents[1]
    done = subprocess.run(
        command, cwd=ours, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )
    if done.returncode:
        raise CompatError(f"{' '.join(command)} failed: {done.stderr.strip()}")
    answer = json.loads(done.stdout)
    modules = {name: frozenset(names) for name, names in answer["modules"].items()}
    templates = {name: frozenset(names) for name, names in answer["templates"].items()}
    return Served(modules, frozenset(answer["placeholders"]), templates)


@cache
def exists_here(module: str, name: str | None = None) -> bool:
    """Is there such a module of ours, with that name? One that wants a missing extra counts as there."""
    if module.partition(".")[0] != "compat":
        return True  # with_django: its modules want the real Django
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        return error.name is None or not f"{module}.".startswith(f"{error.name}.")
    except ImportError:
        return True
    if name is None or name == "*" or hasattr(found, name):
        return True
    return importlib.util.find_spec(f"{module}.{name}") is not None if hasattr(found, "__path__") else False
