"""Run an ``asgi`` module again, with Django set up, if it imports models before Django is set up.

``manage.py runserver`` calls ``django.setup()`` before it imports ``mysite.asgi``. uvicorn does not, so a
project that was only used with runserver fails with AppRegistryNotReady. After that error the shim sets
Django up, as runserver does, and runs the module again. Other modules run as usual. What the module did
before the error (``sys.path``, ``.env`` files) is in effect during the second run.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import ast
import logging
import os
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from django_shim.finder import serves_subset

__all__ = ["named_settings", "run"]

STATIC_FILES = "django.contrib.staticfiles"
SERVED_BY = {
    f"{STATIC_FILES}.handlers",
    f"{STATIC_FILES}.views",
    "django_shim.mounting",
    "whitenoise.middleware",
}
"""Modules that serve static files, and are loaded only if they are used."""

logger = logging.getLogger("django_shim")

VARIABLE = "DJANGO_SETTINGS_MODULE"


def run(module: ModuleType, load: Callable[[ModuleType], None]) -> None:
    """Call ``load(module)``, and once more after ``django.setup()`` if it failed because of that."""
    try:
        load(module)
        _watch_static_files(module)
    except Exception as error:
        if not _wants_setup(error):
            raise
        if not (os.environ.get(VARIABLE) or _adopt_settings(module)):
            raise type(error)(
                f"{error} {module.__name__} needs Django's settings while it is imported: set {VARIABLE} in "
                f"the environment, or in {module.__file__} before the import of your own modules."
            ) from error
        import django

        django.setup()
        load(module)
        _watch_static_files(module)


def _watch_static_files(module: ModuleType) -> None:
    """Log, at the first request for one, that the real Django serves no static files here.

    Not before: this module is also imported by workers and commands that serve no HTTP.
    """
    conf = sys.modules.get("django.conf")
    if serves_subset() or conf is None or not conf.settings.configured or "runserver" in sys.argv:
        return
    settings = conf.settings
    if not settings.DEBUG:
        return
    from django.apps import apps
    from django.core.signals import request_started

    def tell(scope: Mapping[str, Any] | None = None, **_: Any) -> None:
        if not apps.is_installed(STATIC_FILES) or not SERVED_BY.isdisjoint(sys.modules):
            return
        # Not before: Django keeps STATIC_URL as it is when it is first read, below the prefix of a request.
        if scope is None or not scope["path"].startswith(settings.STATIC_URL or "//"):
            return
        request_started.disconnect(dispatch_uid=__name__)
        logger.warning(
            "%s serves no static files%s, as Django's ASGI application never does: run "
            "'django-shim python manage.py runserver', or while DEBUG is on wrap it: from "
            "django.contrib.staticfiles.handlers import ASGIStaticFilesHandler; "
            "ASGIStaticFilesHandler(get_asgi_application())",
            module.__name__,
            " (the admin has no CSS)" if apps.is_installed("django.contrib.admin") else "",
        )

    request_started.connect(tell, weak=False, dispatch_uid=__name__)


def _wants_setup(error: Exception) -> bool:
    """Return True for the two errors that Django raises if it is used before it is set up."""
    if isinstance(error, _errors("AppRegistryNotReady")):
        return not _is_setting_up()
    return isinstance(error, _errors("ImproperlyConfigured")) and not os.environ.get(VARIABLE)


def _errors(name: str) -> tuple[type[Exception], ...]:
    """Return the exception classes of that name, Django's and compat's, that are loaded."""
    modules = (sys.modules.get("django.core.exceptions"), sys.modules.get("compat.exceptions"))
    return tuple(getattr(module, name) for module in modules if hasattr(module, name))


def _is_setting_up() -> bool:
    """Return True while ``django.setup()`` itself imports this module; a second call would fail then."""
    from django.apps import apps

    return bool(getattr(apps, "loading", False))


def _adopt_settings(module: ModuleType) -> bool:
    """Set DJANGO_SETTINGS_MODULE to the value in the module's source, if there is a literal one."""
    if not module.__file__:
        return False
    with open(module.__file__, "rb") as file:
        name = named_settings(file.read())
    if name is not None:
        os.environ[VARIABLE] = name
    return name is not None


def named_settings(source: bytes) -> str | None:
    """Return the settings module that ``source`` names, or None.

    >>> named_settings(b'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mysite.settings")')
    'mysite.settings'
    >>> named_settings(b'os.environ["DJANGO_SETTINGS_MODULE"] = "mysite.settings"')
    'mysite.settings'
    """
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(args=[ast.Constant(value="DJANGO_SETTINGS_MODULE"), ast.Constant(value=str(name))]):
                return name
            case ast.Assign(
                targets=[ast.Subscript(slice=ast.Constant(value="DJANGO_SETTINGS_MODULE"))],
                value=ast.Constant(value=str(name)),
            ):
                return name
    return None
