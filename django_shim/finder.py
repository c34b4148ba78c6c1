"""The finder answers imports of ``channels``, ``channels_redis``, ``daphne`` and, without Django, ``django``.

It only says *where* a top-level name is found; Python's normal import does the rest. It is loaded in every
interpreter that the shim reaches, so it imports only modules that the interpreter has loaded already
(``importlib.metadata`` alone takes 45 ms), and checks everything else when it is needed.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import PathFinder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from importlib.abc import Loader
    from importlib.machinery import ModuleSpec
    from importlib.metadata import Distribution, DistributionFinder
    from types import ModuleType
    from typing import Any

    Load = Callable[[ModuleType], None]

__all__ = [
    "HERE",
    "PACKAGES",
    "ShimFinder",
    "is_ours",
    "name_taken",
    "own_compat",
    "real_spec",
    "require_compat",
    "serves_subset",
]

HERE = os.path.dirname(os.path.abspath(__file__))
PACKAGES = os.path.join(HERE, "packages")
SUBSET = os.path.join(HERE, "django", "__init__.py")
MIRRORED = ("channels", "channels_redis")
HOOKED = ("compat", "django_shim.with_django")
"""The modules that are watched: the second imports the first, and must be complete when it is called."""
FRAMEWORKS = ("django", "channels", "compat", "starlette", "asgiref")
"""Packages whose ``asgi`` modules do not belong to a project."""


def real_spec(name: str, path: Sequence[str] | None = None) -> ModuleSpec | None:
    """Return the spec that ``name`` would have without the shim, or None.

    A folder without ``__init__`` (a namespace package) does not count, because any folder may be called
    ``django``.
    """
    for finder in sys.meta_path:
        if isinstance(finder, ShimFinder):
            continue
        find_spec = getattr(finder, "find_spec", None)
        spec: ModuleSpec | None = find_spec(name, path) if find_spec is not None else None
        if spec is not None:
            return spec if spec.origin is not None else None
    return None


def serves_subset() -> bool:
    """Return True if the ``django`` of this process is the shim's subset."""
    return getattr(sys.modules.get("django"), "__file__", None) == SUBSET


class ShimFinder:
    """The first entry of ``sys.meta_path`` while the shim is installed."""

    def __init__(self, on_compat: Callable[[], object] | None = None) -> None:
        self.on_compat = on_compat
        """Called once, when ``compat`` has been imported, so that not every interpreter has to import it."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of ``name`` if the shim serves it, else None."""
        if name in MIRRORED:
            require_compat()
            return PathFinder.find_spec(name, [PACKAGES])
        if name == "daphne":
            # A real Daphne runs our consumers as well as it runs anybody's: nothing to replace.
            return None if real_spec(name) else PathFinder.find_spec(name, [PACKAGES])
        if name == "django":
            # Asked now and not at install(): sys.path may have grown in between.
            if real_spec(name):
                return None
            require_compat()
            return PathFinder.find_spec(name, [HERE])
        if name in HOOKED and self.on_compat is not None:
            return self._hooked_spec(name, path)
        if name.rpartition(".")[2] == "asgi" and name.partition(".")[0] not in FRAMEWORKS:
            return asgi_spec(name, path)
        return None

    def _hooked_spec(self, name: str, path: Sequence[str] | None) -> ModuleSpec | None:
        spec = real_spec(name, path)
        if spec is None or not is_ours(name, spec.origin):
            return None

        def run(module: ModuleType, load: Load) -> None:
            callback, self.on_compat = self.on_compat, None
            try:
                load(module)
            except BaseException:
                self.on_compat = callback
                raise
            if callback is not None:
                callback()

        return around(spec, run)

    def find_distributions(self, context: DistributionFinder.Context | None = None) -> Iterable[Distribution]:
        """Yield metadata for the served names, for ``importlib.metadata.version("channels")``."""
        from django_shim import metadata

        return metadata.find(context)

    def invalidate_caches(self) -> None:
        """Do nothing, because nothing is cached."""


def is_ours(name: str, origin: str | None) -> bool:
    """Return True for the package of this library, False for a project's own ``compat``."""
    ours = os.path.join(os.path.dirname(HERE), *name.split("."), "__init__.py")
    return origin is not None and os.path.realpath(origin) == os.path.realpath(ours)


def require_compat() -> None:
    """Raise ImportError if ``import compat`` finds a module of the project instead of this package."""
    loaded = sys.modules.get("compat")
    spec = getattr(loaded, "__spec__", None) if loaded is not None else real_spec("compat")
    origin = getattr(spec, "origin", None)
    folder = os.path.dirname(origin or "")
    beside = os.path.dirname(folder) if os.path.basename(origin or "") == "__init__.py" else folder
    if origin is not None and own_compat(beside) is not None:
        raise ImportError(name_taken(origin), name="compat", path=origin)


def own_compat(folder: str) -> str | None:
    """Return the file of a foreign module ``compat`` in ``folder``, or None."""
    if os.path.isfile(os.path.join(folder, "django_shim", "finder.py")):
        return None  # a checkout of this project
    for name in (os.path.join("compat", "__init__.py"), "compat.py"):
        file = os.path.abspath(os.path.join(folder, name))
        if os.path.isfile(file) and not is_ours("compat", file):
            return file
    return None


def name_taken(file: str) -> str:
    """Return the error text for a foreign module ``compat`` at ``file``."""
    what = os.path.dirname(file) if os.path.basename(file) == "__init__.py" else file
    ours = os.path.join(os.path.dirname(HERE), "compat")
    return (
        f"the name 'compat' is taken: {what} hides the package of channels-compat, which has that name "
        f"({ours}). Rename yours, to compatibility for example, and its imports"
    )


def asgi_spec(name: str, path: Sequence[str] | None) -> ModuleSpec | None:
    """Return the spec of a project's ``asgi`` module, changed so that Django is set up if needed."""
    spec = PathFinder.find_spec(name, path)
    origin = spec.origin if spec is not None else None
    if spec is None or origin is None or not origin.endswith(".py"):
        return None

    def run(module: ModuleType, load: Load) -> None:
        from django_shim import asgi_module

        asgi_module.run(module, load)

    return around(spec, run)


def around(spec: ModuleSpec, run: Callable[[ModuleType, Load], None]) -> ModuleSpec:
    """Return ``spec``, changed so that ``run(module, load)`` is called instead of ``load(module)``."""
    if spec.loader is not None:
        spec.loader = _Around(spec.loader, run)  # type: ignore[assignment]  # a loader by its methods
    return spec


class _Around:
    """A loader that restores the original loader when it is used, so that no other code sees it."""

    def __init__(self, loader: Loader, run: Callable[[ModuleType, Load], None]) -> None:
        self._loader = loader
        self._run = run

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._run(module, self._loader.exec_module)
