"""Finding an application by the name that people write: ``main:app`` or ``mysite.asgi.application``."""

from __future__ import annotations

import importlib
import os
import re
import sys
import sysconfig
import traceback
from pathlib import Path
from typing import Any

import compat
from compat.cli.porting.sources import NotRead, read
from compat.exceptions import CompatError, ImproperlyConfigured
from compat.settings import MODULE_VARIABLES, module_name, settings
from compat.unawaited_calls import PACKAGE

__all__ = [
    "SHIMMED",
    "NameTaken",
    "adopt_manage_py",
    "application_name",
    "failure",
    "is_the_projects",
    "load_application",
    "load_object",
    "missing_module",
    "name_taken",
    "own_compat",
    "refuse_own_compat",
    "search_here",
]

SETTINGS = re.compile(r"DJANGO_SETTINGS_MODULE['\"](?:\s*\])?\s*[,=]\s*['\"]([\w.]+)['\"]")


SHIMMED = ("channels", "channels_redis", "daphne", "django")
"""What a project imports that only the shim, or the real packages, can provide."""


class NameTaken(CompatError):
    """The project has a module ``compat`` of its own."""


def search_here() -> None:
    """Let the current folder be imported from, as ``python -m`` does; a console script does not.

    Raises NameTaken.
    """
    here = os.getcwd()
    refuse_own_compat(Path(here))
    if here not in (os.path.abspath(entry) for entry in sys.path if entry) and "" not in sys.path:
        sys.path.insert(0, here)


def refuse_own_compat(folder: Path) -> None:
    """Raise NameTaken where ``folder`` has a module or package ``compat`` that is not this one."""
    file = own_compat(folder)
    if file is not None:
        raise NameTaken(name_taken(file))


def own_compat(folder: Path) -> Path | None:
    """The module ``compat`` that ``folder`` has of its own, if any; a checkout of this project has none."""
    ours = Path(compat.__file__).resolve()
    if (folder / "django_shim" / "finder.py").is_file():
        return None
    files = (folder / "compat" / "__init__.py", folder / "compat.py")
    return next((file for file in files if file.is_file() and file.resolve() != ours), None)


def name_taken(file: Path) -> str:
    """What to say of the module ``compat`` at ``file``."""
    what = file.parent if file.name == "__init__.py" else file
    return (
        f"the name 'compat' is taken: {what} hides the package of channels-compat, which has that name "
        f"({Path(compat.__file__).parent}). Rename yours, to compatibility for example, and its imports"
    )


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


def application_name(given: str | None, example: str = "channels-compat runserver main:app") -> str:
    """``given``, or the setting ASGI_APPLICATION, as "module:attribute"; ImproperlyConfigured for neither.

    ``example``: a command line that names one.
    """
    if given is None:
        adopt_manage_py()
    name = given or settings.get("ASGI_APPLICATION")
    if not name:
        where = module_name()
        cause = (
            f"the settings module {where} has no ASGI_APPLICATION"
            if where
            else f"no settings module is named ({' or '.join(MODULE_VARIABLES)}) in which to look for one"
        )
        raise ImproperlyConfigured(
            f"which application? None was given, and {cause}. Name it: {example}"
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

    Raises what ``load_object`` does, and ImproperlyConfigured for what cannot be called.
    """
    found = load_object(name)
    if not callable(found):
        raise ImproperlyConfigured(
            f"{name!r} is no ASGI application: it is of type {type(found).__name__}, which cannot be called"
        )
    return found


def load_object(name: str) -> Any:
    """What ``name`` ("module:attribute") stands for.

    Raises ImproperlyConfigured when there is no such module or attribute; whatever else happens while the
    module is imported is its own affair and comes through as it is.
    """
    path, _, attribute = name.partition(":")
    try:
        module = importlib.import_module(path)
    except (TypeError, ValueError) as error:
        if _is_of_the_project(error):
            raise
        raise ImproperlyConfigured(
            f"{path!r} is not the name of a module. Expected a dotted name, such as 'mysite.asgi:application'"
        ) from error
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


def missing_module(error: BaseException | None) -> str | None:
    """The top-level package that an import did not find, wherever in the chain of errors that was."""
    while error is not None:
        if isinstance(error, ModuleNotFoundError) and error.name:
            return error.name.partition(".")[0]
        error = error.__cause__ or error.__context__
    return None


def is_the_projects(filename: str) -> bool:
    """Whether a file is neither ours, nor an installed package's, nor Python's own."""
    installed = f"{os.sep}site-packages{os.sep}" in filename or filename.startswith("<")
    return not (installed or filename.startswith((PACKAGE, sysconfig.get_path("stdlib") + os.sep)))


def failure(error: BaseException) -> str | None:
    """What to show of an error that the project raised while it was imported; None for an error of ours.

    That is the traceback from the project's first line on; for an import of what the shim serves, a sentence.
    """
    missing = missing_module(error)
    if missing in SHIMMED and os.environ.get("DJANGO_SHIM") != "1":
        command = " ".join(["django-shim", os.path.basename(sys.argv[0]), *sys.argv[1:]])
        return (
            f"error: the project imports {missing!r}, which is not installed in {sys.prefix}. Run it with "
            f"the shim, which serves that: {command}. Or port it: channels-compat check says how"
        )
    if not _is_of_the_project(error):
        return None
    trace = error.__traceback__
    while trace is not None and not is_the_projects(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    shown = traceback.TracebackException(type(error), error, trace, compact=True)
    return "".join(shown.format()).rstrip()


def _is_of_the_project(error: BaseException) -> bool:
    frames = traceback.extract_tb(error.__traceback__)
    own = isinstance(error, SyntaxError) and is_the_projects(error.filename or "<>")
    return own or any(is_the_projects(frame.filename) for frame in frames)
