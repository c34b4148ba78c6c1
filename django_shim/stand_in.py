"""``django_shim.django``: Django or its subset, under a name that can be imported without the shim.

``channels-compat port`` writes these names if Django is not installed. ``django_shim.django.urls`` *is* the
module ``django.urls``: the real one if Django is installed, else the subset's. It is one object under two
names, so there is one copy of every class, and dotted names in settings mean the same.
"""

from __future__ import annotations

import importlib
import sys
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

from django_shim.finder import HERE, ShimFinder, real_spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["NAME", "SameModule", "SubsetFinder", "stand_in"]

NAME = "django_shim.django"


class SubsetFinder:
    """Serves the top-level name ``django`` from the subset; installed only without Django."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the subset's spec for ``django``."""
        return PathFinder.find_spec(name, [HERE]) if name == "django" else None


class SameModule:
    """Finder and loader of ``django_shim.django.x``: the module ``django.x``."""

    def __init__(self) -> None:
        self._spec: ModuleSpec | None = None

    @classmethod
    def find_spec(
        cls, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return a spec for any name below ``django_shim.django``; its import may fail."""
        if not name.startswith(f"{NAME}."):
            return None
        return ModuleSpec(name, cls())  # type: ignore[arg-type]  # a loader by its methods

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the module ``django.x``, or raise the ImportError of that name."""
        module = importlib.import_module(spec.name.partition(".")[2])
        self._spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Restore the module's spec, which the import system has overwritten; no code is run."""
        module.__spec__ = self._spec


def stand_in() -> None:
    """Make ``django_shim.django`` the module ``django``; called while it is being imported."""
    if not any(finder is SameModule for finder in sys.meta_path):
        sys.meta_path.insert(0, SameModule)
    served = any(isinstance(finder, ShimFinder) or finder is SubsetFinder for finder in sys.meta_path)
    if not served and real_spec("django") is None:
        sys.meta_path.insert(0, SubsetFinder)
    sys.modules[NAME] = importlib.import_module("django")
