"""The verdict on a reference: it works under the shim, ``port`` rewrites it, or it has no equivalent."""

from __future__ import annotations

import difflib
from collections.abc import Container, Iterable
from enum import Enum
from typing import NamedTuple

from compat.cli.moves import (
    APPS,
    DJANGO,
    LIBRARIES,
    PACKAGES,
    PROVIDED,
    SHIMMED,
    WITH_DJANGO,
    gone,
    moved_module,
)
from compat.cli.porting.advice import advice
from compat.cli.porting.paths import moved, resolve
from compat.cli.porting.places import COMPARED, MODULE_CALLS
from compat.cli.porting.records import Import, References, Text
from compat.cli.porting.served import exists_here, served
from compat.cli.porting.words import is_word, left_word, new_word, package_of
from compat.sessions import SIGNED_COOKIES

__all__ = [
    "DjangoNames",
    "Kind",
    "Verdict",
    "is_ported",
    "judge",
    "judge_text",
    "judge_use",
    "left",
    "library_of",
    "needs_django",
    "new_text",
    "without_home",
]


class Kind(str, Enum):
    """The kinds of verdict, in order of severity; the kind of a file is the most severe of its references."""

    runs = "runs"
    warned = "warned"
    """It runs, and the library warns of it."""
    unknown = "unknown"
    port = "port"
    gone = "gone"
    django = "django"
    broken = "broken"


class DjangoNames(str, Enum):
    """The Django that a project uses after the port."""

    keep = "keep"
    """The real Django: its names stay."""
    shim = "shim"
    """The subset: ``port`` writes ``django_shim.django``."""


class Verdict(NamedTuple):
    """The verdict on a reference. ``breaks``: the file cannot be imported because of it."""

    kind: Kind
    message: str
    breaks: bool = False


SHOWS_ITSELF = {"django.contrib.admin.site"}
"""Names that import, but show in the browser that they need Django."""

IMPORTING_CALLS = {"import_module", "import_string", "include", "patch", "setattr", "delattr", "find_spec"}
LOGGERS = {"getLogger", "get_logger"}
MODULE_SETTINGS = {"SESSION_ENGINE", "MESSAGE_STORAGE"}
CHECKED_SETTINGS = {"CACHES", "TEMPLATES", "SESSION_ENGINE"}
BREAKING = ("django.db.models.", "django.contrib.auth.models.")


def library_of(path: str) -> str | None:
    """Return the library of the table that a dotted path begins with, or None."""
    first = path.partition(".")[0]
    return first if first in LIBRARIES else None


def judge(module: str, name: str | None, django: DjangoNames) -> Verdict | None:
    """Return the verdict on ``from module import name`` (or ``import module``), or None."""
    library = library_of(module)
    if library is None and (what := needs_django(_spelled(module, name), django)):
        return Verdict(Kind.django, f"{_spelled(module, name)} {what}", breaks=True)
    if library is None or (library == "django" and django is DjangoNames.keep):
        return None
    if library == "django":
        return _of_django(module, name)
    if library in SHIMMED:
        return _of_channels(module, name, django)
    return _of_another(module, name)


def _spelled(module: str, name: str | None) -> str:
    return module if name is None or name == "*" else f"{module}.{name}"


def _of_django(module: str, name: str | None) -> Verdict | None:
    path = _spelled(module, name)
    if served().has(module, name):
        return Verdict(Kind.runs, f"{path} is served; port writes {DJANGO}{path.removeprefix('django')}")
    return Verdict(Kind.django, f"{path} needs Django: {advice(path)}", breaks=True)


def _of_channels(module: str, name: str | None, django: DjangoNames) -> Verdict:
    path = _spelled(module, name)
    target = resolve(module, name)
    if target is not None and (what := needs_django(target.module, django)):
        return Verdict(Kind.django, f"{path} {what}", breaks=True)
    if not served().has(module, name):
        near = difflib.get_close_matches(name or "", served().modules.get(module, ()), n=1)
        hint = f"did you mean {near[0]}?" if near else "see 'Where names have gone' in docs/porting.md"
        return Verdict(
            Kind.gone, f"{path} is not in channels-compat: {gone(module, name) or hint}", breaks=True
        )
    if target is None:
        return Verdict(Kind.runs, f"{path} is served; without the shim: {gone(module, name)}")
    return Verdict(Kind.runs, f"{path} is served; port writes {_spelled(*target)}")


def _of_another(module: str, name: str | None) -> Verdict:
    path = _spelled(module, name)
    target = resolve(module, name)
    if target is not None and exists_here(*target):
        return Verdict(Kind.port, f"{path}: port writes {_spelled(*target)}", breaks=True)
    why = gone(module, name) or "there is nothing of that name here; see docs/porting.md"
    return Verdict(Kind.gone, f"{path} has no equal: {why}", breaks=True)


def needs_django(path: str, django: DjangoNames) -> str | None:
    """Return why a dotted name of ours cannot be imported without Django, or None."""
    if django is DjangoNames.keep or not path.startswith(f"{WITH_DJANGO}."):
        return None
    live = path.startswith(f"{WITH_DJANGO}.live")
    what = "a test case with a database" if live else "a name of Django's"
    return f"needs Django: it is {what}"


def without_home(one: Import, django: DjangoNames) -> str | None:
    """Return what to do about an import that ``port`` leaves, because nothing takes its place; or None."""
    if library_of(one.module) in (None, "django"):
        return None
    target = resolve(one.module, one.name)
    if target is not None and (what := needs_django(target.module, django)):
        return f"it {what}"
    return None if target is not None and exists_here(*target) else moved(_spelled(one.module, one.name)).why


def is_ported(files: Iterable[References], django: DjangoNames) -> bool:
    """Return True for a project that imports compat, and of Channels only what ``port`` cannot rewrite: it
    runs without the shim.
    """
    imports = [one for each in files for one in each.imports if not one.level]
    if not any(one.module.partition(".")[0] == "compat" for one in imports):
        return False
    return all(without_home(one, django) for one in imports if library_of(one.module) in SHIMMED)


def judge_use(path: str, when_imported: bool, django: DjangoNames) -> Verdict | None:
    """Return the verdict on an attribute of an import: ``models.Model`` after ``from django.db import
    models``.
    """
    library = library_of(path)
    if library is None or (library == "django" and django is DjangoNames.keep):
        return None
    if library == "django":
        if path.startswith(tuple(SHOWS_ITSELF)):
            return Verdict(Kind.runs, "the admin page answers 501: it needs Django")
        if path == "django.contrib.auth.get_user_model":
            return Verdict(Kind.django, f"{path} needs Django: {advice(path)}")
        found = served().placeholder(path)
        if found is not None:
            breaks = when_imported and found.startswith(BREAKING)
            return Verdict(Kind.django, f"{found} needs Django: {advice(found)}", breaks)
    module, name = _split(path)
    return judge(module, name, django) if name is not None else None


def _split(path: str) -> tuple[str, str | None]:
    """Return the longest known module that the path begins with, and the name after it."""
    parts = path.split(".")
    known = served().modules
    for end in range(len(parts), 0, -1):
        module = ".".join(parts[:end])
        if module in known or _is_other_module(module):
            return module, parts[end] if end < len(parts) else None
    return path, None


def _is_other_module(module: str) -> bool:
    target = None if module.partition(".")[0] in PROVIDED else moved_module(module)
    return target is not None and exists_here(target)


def judge_text(text: Text, django: DjangoNames) -> Verdict | None:
    """Return the verdict on a string that contains a dotted name: in settings, in a patch, in an import by
    name.
    """
    value = text.value
    if is_word(text) and not _is_entry(text):
        return _of_word(text)
    if _is_entry(text):
        return Verdict(Kind.runs, f'the app "{value}" is served; without the shim: "{APPS[value]}"')
    library = library_of(value)
    if library is None or "." not in value:
        return None
    if library == "django":
        return _of_django_text(text) if django is DjangoNames.shim else None
    if value.partition(".")[2].isupper() or text.call in LOGGERS:
        return None
    if not text.is_path:
        kind = Kind.runs if library in SHIMMED else Kind.unknown
        what = left(text)
        return Verdict(kind, what) if what else None
    verdict = judge(value, None, django) if text.call in MODULE_CALLS else _of_path(text, django)
    # The import of a file does not resolve its strings.
    return verdict and verdict._replace(breaks=False)


def _is_entry(text: Text) -> bool:
    """Return True if the string is an app in a list of apps; INSTALLED_APPS may be asked for one, too."""
    asked = text.call == COMPARED and new_word(text) is not None
    return text.setting.endswith("APPS") and text.value in APPS and not asked


def _of_word(text: Text) -> Verdict | None:
    shimmed = package_of(text) in SHIMMED
    new = new_word(text) if text.is_path else None
    if new is not None:
        served_too = " is served;" if shimmed else ":"
        return Verdict(Kind.runs if shimmed else Kind.port, f'"{text.value}"{served_too} port writes "{new}"')
    what = left_word(text)
    return Verdict(Kind.runs if shimmed else Kind.unknown, what) if what else None


def _of_path(text: Text, django: DjangoNames) -> Verdict | None:
    """Return the verdict on the path of a name, or of an attribute below one."""
    path, new = text.value, moved(text.value)
    if not new.path and text.call not in IMPORTING_CALLS:
        return None
    module, name = _split(path)
    verdict = judge(module, name, django)
    works = verdict is not None and verdict.kind in (Kind.runs, Kind.port)
    if verdict is None or not works or path == _spelled(module, name) or resolve(module, name) is None:
        return verdict
    if not new.path:
        return Verdict(Kind.gone, f"{path} is not in channels-compat: {new.why}")
    served_too = " is served;" if verdict.kind is Kind.runs else ":"
    return Verdict(verdict.kind, f"{path}{served_too} port writes {new.path}")


def new_text(text: Text) -> str | None:
    """Return the new dotted path if a string is one that moved; ``port`` writes it if ``text.is_path``."""
    value = text.value
    if is_word(text):
        return new_word(text)
    # Django's names in settings stay: they resolve in the real Django and in the subset.
    if library_of(value) in (None, "django") or "." not in value or value in APPS or text.call in LOGGERS:
        return None
    if text.call in MODULE_CALLS:
        target = resolve(value, None)
        return target.module if target is not None and exists_here(*target) else None
    return moved(value).path or None


def left(text: Text, modules: Container[str] = ()) -> str | None:
    """Return what to do about a string that ``port`` leaves; None if nothing has to be done.

    ``modules``: the names of the project's own modules.
    """
    value = text.value
    if is_word(text) and not _is_entry(text):
        return left_word(text)
    if _is_entry(text):
        return f'"{value}" is left in {text.setting}: replace it by "{APPS[value]}", or remove it'
    new = new_text(text)
    if new is not None:
        return f'the string "{value}" is left: if it is a path, replace it by "{new}"'
    imported = text.is_path and text.call in IMPORTING_CALLS | MODULE_CALLS
    if not imported or "." not in value or library_of(value) == "django":
        return None
    if library_of(value) is None:
        return _left_through(value, modules)
    return f'the string "{value}" is left: {moved(value).why}'


def _left_through(path: str, modules: Container[str]) -> str | None:
    """Return what to do about the path of a name that a module of the project has of its
    ``import channels.layers``: "tasks.channels.layers.get_channel_layer".
    """
    parts = path.split(".")
    for number, package in enumerate(parts):
        if package not in PACKAGES or ".".join(parts[: number + 1]) in modules:
            continue
        rest = parts[number:]
        new = moved(".".join(rest)).path if rest[1:] else moved_module(package)
        if new:
            where = ".".join(parts[:number])
            return f'the string "{path}" is left: if {where} imports {package}, replace it by "{where}.{new}"'
    return None


def _of_django_text(text: Text) -> Verdict | None:
    value = text.value
    if text.call in MODULE_CALLS:
        return None if served().has(value) else _missing(value, breaks=text.call == "include")
    if text.setting not in CHECKED_SETTINGS or value.startswith("django.template.backends."):
        return None
    if text.setting == "SESSION_ENGINE" and value == SIGNED_COOKIES:
        return Verdict(
            Kind.runs,
            f"{value} is served by compat.session_cookies, which needs the extra [sessions]: "
            "pip install 'channels-compat[sessions]'",
        )
    module, _, name = value.rpartition(".")
    there = served().has(value) if text.setting in MODULE_SETTINGS else served().has(module, name)
    return None if there else _missing(value)


def _missing(path: str, breaks: bool = False) -> Verdict:
    return Verdict(Kind.django, f"{path} needs Django: {advice(path)}", breaks)
