"""Serves ``import channels``, ``channels_redis``, ``daphne`` and, without Django, ``django`` from here.

Nothing changes until the shim is switched on, in one of three ways:

- ``django-shim uvicorn mysite.asgi:application`` (any command) for one run, its workers and its reloader;
- ``DJANGO_SHIM=1`` in the environment, for every interpreter that has this package installed;
- ``import django_shim; django_shim.install()`` in code, before the first ``import channels``.

``mount()`` adds a whole Django-style project to a FastAPI or Starlette app.

This module is imported by interpreters that may never import ``channels``: it imports next to nothing.
"""

from __future__ import annotations

import os
import sys

from django_shim.finder import HERE, PACKAGES, ShimFinder, is_ours

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    from starlette.applications import Starlette

__all__ = ["install", "installed", "mount", "uninstall"]

SERVED = ("channels", "channels_redis", "daphne", "django")
STAND_IN = "django_shim.django"


def install() -> None:
    """Serve the Channels names from now on; a second call does nothing.

    Raises RuntimeError if the real ``channels`` or ``channels_redis`` has been imported already, because
    there would be two of every class, and ``except ChannelFull`` would not catch both.
    """
    if installed():
        return
    for name in ("channels", "channels_redis"):
        module = sys.modules.get(name)
        if module is not None and not _is_served(module):
            where = getattr(module, "__file__", None) or list(getattr(module, "__path__", ["(no file)"]))
            raise RuntimeError(
                f"django_shim.install() comes too late: {name} is already imported from {where}. Call "
                f"it before the first 'import {name}' (mysite/__init__.py is a good place), or start with "
                "'django-shim …'."
            )
    # What compat is told of Django waits until compat is imported: many an interpreter never does.
    if is_ours("compat", getattr(sys.modules.get("compat"), "__file__", None)):
        _register_django()
        sys.meta_path.insert(0, ShimFinder())
    else:
        sys.meta_path.insert(0, ShimFinder(on_compat=_register_django))


def uninstall() -> None:
    """Remove the finder and the modules that it served; ``compat`` itself stays imported."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not _is_shims(finder)]
    for name, module in list(sys.modules.items()):
        if (name.partition(".")[0] in SERVED or name.startswith(STAND_IN)) and _is_served(module):
            del sys.modules[name]
    globals().pop("django", None)  # the submodule of this package that stood in for it
    with_django = sys.modules.get("django_shim.with_django")
    if with_django is not None:
        with_django.unregister()


def installed() -> bool:
    """Return True while the shim's finder serves imports in this process."""
    return any(isinstance(finder, ShimFinder) for finder in sys.meta_path)


def mount(app: Starlette, settings_module: str, *, path: str = "/") -> None:
    """Add the Django-style project of ``settings_module`` to ``app`` (FastAPI or Starlette), below ``path``.

    The app's own routes, including later ones, come first. Other requests go to the project: HTTP to its
    pages, websockets to the ``"websocket"`` branch of its ASGI_APPLICATION, with its Origin check and auth
    stack. The lifespan stays with ``app``. Installs the shim if needed.

    Raises RuntimeError if another settings module is in use, if ``app`` has a project at that path already,
    or if a route of the app would match everything.
    """
    from django_shim.mounting import mount_project

    install()
    mount_project(app, settings_module, path)


def _register_django() -> None:
    from django_shim import with_django

    with_django.register()


def _is_shims(finder: object) -> bool:
    # The subset of Django adds a finder of its own: a class, which refuses what the subset lacks.
    return isinstance(finder, ShimFinder) or getattr(finder, "__module__", "").startswith("django.unserved")


def _is_served(module: ModuleType | None) -> bool:
    file = getattr(module, "__file__", None) or ""
    return file.startswith((PACKAGES + os.sep, os.path.join(HERE, "django") + os.sep))
