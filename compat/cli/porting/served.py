"""The modules and names that can be imported under the shim (a child interpreter lists them) and in
``compat``.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import compat
from compat.exceptions import CompatError

__all__ = ["Served", "exists_here", "is_public", "served"]


class Served(NamedTuple):
    """The names of each module, and the dotted names of placeholders, which need the real Django when they
    are used.

    ``templates``: the "tags", "filters" and "libraries" that the template engine of the subset refuses.
    """

    modules: Mapping[str, frozenset[str]]
    placeholders: frozenset[str]
    templates: Mapping[str, frozenset[str]]

    def has(self, module: str, name: str | None = None) -> bool:
        """Return True if ``from module import name`` (or ``import module``) works under the shim."""
        if name is None or name == "*":
            return module in self.modules
        return name in self.modules.get(module, ()) or f"{module}.{name}" in self.modules

    def placeholder(self, path: str) -> str | None:
        """Return the placeholder that a dotted path begins with, or None.

        For "django.contrib.auth.models.User.objects" it is "django.contrib.auth.models.User".
        """
        parts = path.split(".")
        while parts:
            if ".".join(parts) in self.placeholders:
                return ".".join(parts)
            parts.pop()
        return None


@cache
def served() -> Served:
    """Return the modules and names that the shim serves without Django. The first call takes about a
    second.
    """
    # In a child interpreter, because this one may have the real Django, and runs without the shim.
    command = [sys.executable, "-W", "ignore", "-m", "django_shim.served"]
    # In our folder, because the current one may have a module that hides another.
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
    """Return True if our module exists and has ``name``. A module that needs a missing extra counts as
    existing.
    """
    if module.partition(".")[0] != "compat":
        return True  # with_django: its modules need the real Django
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        return error.name is None or not f"{module}.".startswith(f"{error.name}.")
    except ImportError:
        return True
    if name is None or name == "*" or hasattr(found, name):
        return True
    return _is_submodule(found, name)


@cache
def is_public(module: str, name: str) -> bool:
    """Return True if ``name`` is in the ``__all__`` of our module, or a module below it; also for a module
    that cannot be imported without an extra.
    """
    try:
        found = importlib.import_module(module)
    except ImportError:
        return True
    return name in found.__all__ or _is_submodule(found, name)


def _is_submodule(package: ModuleType, name: str) -> bool:
    where = f"{package.__name__}.{name}"
    return importlib.util.find_spec(where) is not None if hasattr(package, "__path__") else False
