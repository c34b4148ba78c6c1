"""Finding an application by the name that people write: ``main:app`` or ``mysite.asgi.application``."""

from __future__ import annotations

import importlib
import os
import re
import sys
from pathlib import Path
from typing import Any

from compat.cli.porting.sources import NotRead, read
from compat.exceptions import ImproperlyConfigured
from compat.settings import MODULE_VARIABLES, module_name, settings

__all__ = ["adopt_manage_py", "application_name", "load_application", "search_here"]

SETTINGS = re.compile(r"DJANGO_SETTINGS_MODULE['\"](?:\s*\])?\s*[,=]\s*['\"]([\w.]+)['\"]")


def search_here() -> None:
    """Let the current folder be imported from, as ``python -m`` does; a console script does not."""
    here = os.getcwd()
    if here not in (os.path.abspath(entry) for entry in sys.path if entry) and "" not in sys.path:
        sys.path.insert(0, here)


def adopt_manage_py(folder: Path | None = None) -> None:
    """Adopt the settings module of ``manage.py`` in ``folder`` (default: here), where none is named."""
    if module_name():
        return
    try:
        source = read(Path(folder or ".", "manage.py")).decode("utf-8", errors="replace")
    except NotRead:
        return
    found = SETTINGS.search(source)
    if found is not None:
        os.environ["DJANGO_SETTINGS_MODULE"] = found.group(1)


def application_name(given: str | None) -> str:
    """``given``, or the setting ASGI_APPLICATION, as "module:attribute"; ImproperlyConfigured for neither."""
    name = given or settings.get("ASGI_APPLICATION")
    if not name:
        where = module_name()
        cause = (
            f"the settings module {where} has no ASGI_APPLICATION"
            if where
            else f"no settings module is named ({' or '.join(MODULE_VARIABLES)}) in which to look for one"
        )
        raise ImproperlyConfigured(
            f"which application? None was given, and {cause}. Name it: channels-compat runserver main:app"
        )
    module, colon, attribute = name.partition(":")
    if not colon:
        module, _, attribute = name.rpartition(".")
    if not module or not attribute:
        raise ImproperlyConfigured(
            f"{name!r} does not name an application. Expected module and attribute, such as 'main:app' or "
            "'mysite.asgi.application'"
        )
    return f"{module}:{attribute}"


def load_application(name: str) -> Any:
    """The application that ``name`` ("module:attribute") stands for.

    Raises ImproperlyConfigured when there is no such module or attribute; whatever else happens while the
    module is imported is its own affair and comes through as it is.
    """
    path, _, attribute = name.partition(":")
    try:
        module = importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name is None or not (path == error.name or path.startswith(f"{error.name}.")):
            raise  # the module is there, but imports something that is not
        raise ImproperlyConfigured(
            f"there is no module {error.name!r} (looking for the application {name!r} from {os.getcwd()}). "
            "Check the spelling, and start the server in the folder that holds it"
        ) from error
    found: Any = module
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise ImproperlyConfigured(
                f"module {path!r} ({getattr(module, '__file__', None)}) has no {attribute!r}: "
                f"the application {name!r} cannot be loaded"
            ) from None
    return found
