"""Load an application by a name such as ``main:app`` or ``mysite.asgi.application``."""

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
from compat.advice.callers import in_installed_folder
from compat.advice.unawaited_calls import PACKAGE
from compat.cli.moves import PROVIDED
from compat.cli.porting.sources import NotRead, read
from compat.exceptions import CompatError, ImproperlyConfigured
from compat.layers import ChannelLayerManager
from compat.settings import MODULE_VARIABLES, module_name, settings

__all__ = [
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

SETTINGS = re.compile(
    r"^[^#\n]*DJANGO_SETTINGS_MODULE['\"](?:\s*\])?\s*[,=]\s*['\"]([\w.]+)['\"]", re.MULTILINE
)


class NameTaken(CompatError):
    """The project has its own module ``compat``, which hides ours."""


def search_here() -> None:
    """Put the current folder on ``sys.path``, as ``python -m`` does and a console script does not.

    Raises NameTaken.
    """
    here = os.getcwd()
    refuse_own_compat(Path(here))
    if here not in (os.path.abspath(entry) for entry in sys.path if entry) and "" not in sys.path:
        sys.path.insert(0, here)


def refuse_own_compat(folder: Path) -> None:
    """Raise NameTaken if ``folder`` has its own module or package ``compat``."""
    file = own_compat(folder)
    if file is not None:
        raise NameTaken(name_taken(file))


def own_compat(folder: Path) -> Path | None:
    """Return the file of a module ``compat`` in ``folder`` that is not ours, or None."""
    ours = Path(compat.__file__).resolve()
    if (folder / "django_shim" / "finder.py").is_file():  # a checkout of this project
        return None
    files = (folder / "compat" / "__init__.py", folder / "compat.py")
    return next((file for file in files if file.is_file() and file.resolve() != ours), None)


def name_taken(file: Path) -> str:
    """Return the error text for a foreign module ``compat`` at ``file``."""
    what = file.parent if file.name == "__init__.py" else file
    return (
        f"the name 'compat' is taken: {what} hides the package 'compat' of channels-compat "
        f"({Path(compat.__file__).parent}). Rename yours, for example to 'compatibility', and its imports"
    )


def adopt_manage_py(folder: Path | None = None) -> None:
    """Use the settings module that ``manage.py`` in ``folder`` (default: the current one) names, unless one
    is set.
    """
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
    """Return ``given``, or else the setting ASGI_APPLICATION, as "module:attribute".

    ``example``: the command line that an error suggests. Raises ImproperlyConfigured without a valid name.
    """
    if given is None:
        adopt_manage_py()
    name = given or settings.get("ASGI_APPLICATION")
    if not name:
        where = module_name()
        cause = (
            f"the settings module {where} has no ASGI_APPLICATION"
            if where
            else f"no settings module is set ({' or '.join(MODULE_VARIABLES)})"
        )
        raise ImproperlyConfigured(f"no application was given, and {cause}. Name it: {example}")
    module, colon, attribute = name.partition(":")
    if not colon:
        module, _, attribute = name.rpartition(".")
    if not module or not attribute or (not colon and attribute == "py"):
        raise ImproperlyConfigured(
            f"{name!r} does not name an application. Expected module and attribute, such as 'main:app' or "
            "'mysite.asgi.application'"
        )
    return f"{module}:{attribute}"


def load_application(name: str) -> Any:
    """Import and return the application ``name`` ("module:attribute").

    Raises ImproperlyConfigured if it cannot be called, and what ``load_object`` raises.
    """
    found = load_object(name)
    if not callable(found):
        raise ImproperlyConfigured(
            f"{name!r} is not an ASGI application: its type {type(found).__name__} cannot be called"
        )
    return found


def load_object(name: str) -> Any:
    """Import and return the object ``name`` ("module:attribute").

    Raises ImproperlyConfigured if the module or the attribute does not exist. An error that the module raises
    during its import is passed on.
    """
    path, _, attribute = name.partition(":")
    try:
        module = importlib.import_module(path)
    except (TypeError, ValueError) as error:
        if _is_of_the_project(error):
            raise
        raise ImproperlyConfigured(
            f"{path!r} is not a module name. Expected a dotted name, such as 'mysite.asgi:application'"
        ) from error
    except ModuleNotFoundError as error:
        if error.name is None or not (path == error.name or path.startswith(f"{error.name}.")):
            raise  # the module exists, but imports a module that does not
        raise ImproperlyConfigured(
            f"there is no module {error.name!r} (looking for the application {name!r} from {os.getcwd()}). "
            "Check the spelling, and run the command in the folder that contains the module"
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
    """Return the top-level package that an import in the chain of ``error`` did not find, or None.

    An error of another kind that is raised while such a one is handled has nothing to do with it.
    """
    while error is not None:
        if isinstance(error, ModuleNotFoundError) and error.name:
            return error.name.partition(".")[0]
        follows = isinstance(error, ImportError) and not error.__suppress_context__
        error = error.__cause__ or (error.__context__ if follows else None)
    return None


def is_the_projects(filename: str) -> bool:
    """Return True if a file belongs to the project, and not to compat, an installed package or Python."""
    installed = in_installed_folder(filename) or filename.startswith("<")
    return not (installed or filename.startswith((PACKAGE, sysconfig.get_path("stdlib") + os.sep)))


def failure(error: BaseException) -> str | None:
    """Return the text to print for an error that the project raised during its import, or an option of a
    layer that is wrong; None for an error of ours.

    The text is the traceback from the project's first line on, or a sentence if a package of the shim is
    missing, or for an option.
    """
    missing = missing_module(error)
    if missing in PROVIDED and os.environ.get("DJANGO_SHIM") != "1":
        command = " ".join(["django-shim", os.path.basename(sys.argv[0]), *sys.argv[1:]])
        return (
            f"error: the project imports {missing!r}, which is not installed in {sys.prefix}. Run it with "
            f"the shim, which provides {missing!r}: {command}. Or port it: channels-compat check says how"
        )
    if not _is_of_the_project(error):
        alias = _layer_of(error)
        return None if alias is None else f"error: CHANNEL_LAYERS[{alias!r}]: {error}"
    trace = error.__traceback__
    while trace is not None and not is_the_projects(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    shown = traceback.TracebackException(type(error), error, trace, compact=True)
    return "".join(shown.format()).rstrip()


def _layer_of(error: BaseException) -> str | None:
    """Return the alias of the layer whose options were wrong; they are TypeErrors and ValueErrors, as in
    Channels.
    """
    if not isinstance(error, TypeError | ValueError):
        return None
    making = (
        frame
        for frame, _ in traceback.walk_tb(error.__traceback__)
        if frame.f_code is ChannelLayerManager.make_backend.__code__
    )
    return next((frame.f_locals["name"] for frame in making), None)


def _is_of_the_project(error: BaseException) -> bool:
    frames = traceback.extract_tb(error.__traceback__)
    own = isinstance(error, SyntaxError) and is_the_projects(error.filename or "<>")
    return own or any(is_the_projects(frame.filename) for frame in frames)
