"""``python -m django_shim.served``: what the shim serves, as JSON, for ``channels-compat check``.

``modules`` has the names of every module of ``channels``, ``channels_redis``, ``daphne`` and the subset of
Django, whatever is installed beside them. ``placeholders`` are names of the subset that can be imported, and
say "needs the real Django" where they are used. ``templates`` has what its template engine refuses.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from django_shim.finder import HERE, PACKAGES, ShimFinder

__all__ = ["placeholders", "served", "templates"]

ROOTS = ("channels", "channels_redis", "daphne", "django")
REFUSING = {
    "django.db.connection",
    "django.db.connections",
    "django.db.transaction.atomic",
    "django.db.transaction.commit",
    "django.db.transaction.on_commit",
    "django.db.transaction.rollback",
    "django.shortcuts.aget_list_or_404",
    "django.shortcuts.aget_object_or_404",
    "django.shortcuts.get_list_or_404",
    "django.shortcuts.get_object_or_404",
}
"""Functions and objects of the subset that need the real Django; classes are recognized by their kind."""

WITH_DJANGO = {"daphne.management.commands.runserver": ["Command", "get_default_application"]}
"""The names of a module that cannot be imported here, because it stands on the real Django."""


class _OursFirst(ShimFinder):
    """The shim as it is if neither Django nor Daphne is installed."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name in ROOTS:
            return PathFinder.find_spec(name, [HERE if name == "django" else PACKAGES])
        return super().find_spec(name, path, target)


def _modules() -> Iterator[ModuleType]:
    for root in ROOTS:
        package = importlib.import_module(root)
        yield package
        for found in pkgutil.walk_packages(package.__path__, f"{root}.", onerror=lambda name: None):
            if found.name.endswith(".__main__"):
                continue
            try:
                yield importlib.import_module(found.name)
            except ImportError:
                continue  # a part of the shim that stands on the real Django


def served() -> dict[str, list[str]]:
    """Return the names of each served module, by its dotted path."""
    found = dict(WITH_DJANGO)
    for module in list(_modules()):
        mirrored = getattr(vars(module).get("__mirror__"), "elsewhere", {})
        # Names that a module makes when they are first asked for are in its __all__ alone.
        found[module.__name__] = sorted({*dir(module), *mirrored, *getattr(module, "__all__", ())})
    return found


def placeholders() -> list[str]:
    """Return the dotted paths of names that can be imported but need the real Django when used."""
    from django.db.models import absent, fields, queries

    kinds = (fields.Field, queries.Manager, queries._Query)
    found = set(REFUSING)
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] != "django":
            continue
        for attribute, value in vars(module).items():
            if inspect.isclass(value) and (
                isinstance(value, absent.AbsentModelBase) or issubclass(value, kinds)
            ):
                found.add(f"{name}.{attribute}")
    return sorted(found)


def templates() -> dict[str, list[str]]:
    """Return what the subset's template engine refuses because it needs the real Django."""
    from django.template import messages

    return {
        "tags": sorted(messages.UNSERVED_TAGS),
        "filters": sorted(messages.UNSERVED_FILTERS),
        "libraries": sorted(messages.UNSERVED_LIBRARIES),
    }


def main() -> None:
    sys.meta_path.insert(0, _OursFirst())
    answer: dict[str, Any] = {
        "modules": served(),
        "placeholders": placeholders(),
        "templates": templates(),
    }
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
