"""The subject of the checks: an application, its settings, its layers and its server commands.

A part that cannot be loaded becomes a finding, and the checks of the other parts run.
"""

from __future__ import annotations

import inspect
import linecache
import os
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from compat.cli.application import (
    NameTaken,
    adopt_manage_py,
    application_name,
    is_the_projects,
    load_application,
    missing_module,
    search_here,
)
from compat.cli.doctor.answers import Answer, ask
from compat.cli.doctor.commands import ServerCommand, server_commands
from compat.cli.doctor.finding import Finding, Severity
from compat.cli.moves import PORTED, PROVIDED
from compat.consumer import AsyncConsumer, ConsumerApp
from compat.exceptions import ImproperlyConfigured
from compat.layers import channel_layers, get_channel_layer, register_channel_layer
from compat.security.origin import Part, parts
from compat.settings import MODULE_VARIABLES, module_name, settings

__all__ = ["Subject", "Wanted", "examine"]


@dataclass(frozen=True)
class Wanted:
    """The arguments of the command. ``members``: the expected number of connections in one room."""

    application: str | None = None
    members: int | None = None
    workers: int | None = None
    command: str | None = None
    folder: Path = field(default_factory=Path.cwd)


@dataclass
class Subject:
    """The parts of a project; ``app`` is None if it could not be imported."""

    name: str = ""
    app: Any = None
    members: int | None = None
    commands: list[ServerCommand] = field(default_factory=list)
    layers: dict[str, Any] = field(default_factory=dict)
    named_workers: int | None = None
    folder: Path = field(default_factory=Path.cwd)
    problems: list[Finding] = field(default_factory=list)
    registers_layers: bool = False
    """A module of the project names ``register_channel_layer``: its lifespan, which does not run here, may
    call it.
    """
    missing: str | None = None
    """The package that the import of the application or its settings did not find."""

    @property
    def workers(self) -> int:
        """The number of processes with consumers: ``--workers``, or the largest number in the commands."""
        return self.named_workers or max((command.workers for command in self._of_consumers), default=1)

    @property
    def workers_source(self) -> str:
        """The source of ``workers``."""
        if self.named_workers:
            return "--workers"
        commands = self._of_consumers
        return max(commands, key=lambda command: command.workers).source if commands else ""

    @property
    def _of_consumers(self) -> list[ServerCommand]:
        return [command for command in self.commands if not command.serves_wsgi]

    @cached_property
    def answers(self) -> list[Answer]:
        """The answers of every server of every layer; the servers are asked once."""
        return [answer for alias, layer in self.layers.items() for answer in ask(alias, layer)]

    @cached_property
    def parts(self) -> list[Part]:
        """Every application that receives websockets, with its path."""
        return list(parts(self.app)) if self.app is not None else []

    @property
    def consumers(self) -> list[tuple[str, type[AsyncConsumer]]]:
        """Path and class of every consumer, in the order of the routes."""
        found = [(part.path or "/", part.application) for part in self.parts]
        return [(path, app.consumer_class) for path, app in found if isinstance(app, ConsumerApp)]

    @property
    def consumer_classes(self) -> list[type[AsyncConsumer]]:
        """The classes of ``consumers`` without repetitions."""
        return list(dict.fromkeys(cls for _, cls in self.consumers))


def examine(wanted: Wanted) -> Subject:
    """Import the application, and create its layers and server commands."""
    subject = Subject(members=wanted.members, named_workers=wanted.workers, folder=wanted.folder)
    try:
        search_here()
    except NameTaken as error:
        text, _, fix = str(error).partition(". ")
        subject.problems.append(Finding(Severity.ERROR, text, f"{fix}.", check="application"))
        return subject
    adopt_manage_py(wanted.folder)
    _load_application(subject, wanted)
    subject.problems += _make_layers(subject)
    subject.registers_layers = _registers_layers()
    subject.commands = server_commands(wanted.command, wanted.folder)
    return subject


def _load_application(subject: Subject, wanted: Wanted) -> None:
    try:
        if wanted.application is None and not settings.get("ASGI_APPLICATION"):
            subject.problems.append(_no_application())
            return
        subject.name = application_name(wanted.application)
        app = load_application(subject.name)
        subject.app = app() if _is_factory(app) else app
    except ImproperlyConfigured as error:
        fix = "Correct this first; the checks that need the application did not run."
        subject.problems.append(Finding(Severity.ERROR, str(error), fix, subject.name, "application"))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a project may raise any error during its import
        subject.missing = missing_module(error)
        subject.problems.append(_import_failure(subject.name, error))


def _registers_layers() -> bool:
    return any(
        name.partition(".")[0] != "compat" and _names_it(module) for name, module in list(sys.modules.items())
    )


def _names_it(module: Any) -> bool:
    its = getattr(module, "__dict__", {})
    name = register_channel_layer.__name__
    if its.get(name) is register_channel_layer:
        return True
    # The project may import it in the function that calls it, or call it as an attribute of compat.layers.
    file = its.get("__file__")
    return isinstance(file, str) and is_the_projects(file) and name in "".join(linecache.getlines(file))


def _is_factory(app: Any) -> bool:
    """Return True for a function that needs no arguments, as for ``uvicorn --factory``; an application takes
    three.
    """
    if not inspect.isfunction(app) or inspect.iscoroutinefunction(app):
        return False
    empty = inspect.Parameter.empty
    return all(parameter.default is not empty for parameter in inspect.signature(app).parameters.values())


def _no_application() -> Finding:
    return Finding(
        Severity.WARNING,
        "no application was named, and the setting ASGI_APPLICATION is not set: only settings, layers and "
        "server commands were examined",
        "channels-compat doctor main:app",
        check="application",
    )


def _import_failure(name: str, error: BaseException) -> Finding:
    name = name or module_name() or "the settings"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if is_the_projects(frame.filename)]
    where = f"{own[-1].filename}:{own[-1].lineno}" if own else name
    if isinstance(error, SyntaxError) and error.filename:
        where = f"{error.filename}:{error.lineno}"
    said = str(error) or "without a message"
    missing = missing_module(error)
    fix = f'python -c "import {name.partition(":")[0]}" shows the whole traceback.'
    if missing in PROVIDED:
        fix = "Run it with the shim: django-shim channels-compat doctor"
    elif missing in PORTED:
        fix = "Port it: channels-compat check PATH says how, and channels-compat port PATH does it."
    elif missing and (folder := _holds(where, missing)):
        fix = f"{missing!r} is in {folder}, which is not on sys.path: run there, or set PYTHONPATH to it."
    elif missing:
        fix = f"Install the package of {missing!r} for {sys.executable}, or correct the import."
    text = f"{name} cannot be imported: {type(error).__name__}: {said}"
    return Finding(Severity.ERROR, text, fix, where, "application")


def _holds(where: str, module: str) -> str | None:
    """Return the folder of the file at ``where`` if it contains ``module``, else None."""
    folder = Path(where.rpartition(":")[0]).parent
    return str(folder) if (folder / f"{module}.py").is_file() or (folder / module).is_dir() else None


def _make_layers(subject: Subject) -> Iterator[Finding]:
    """Create every configured layer, and yield a finding for each that cannot be created."""
    try:
        aliases = channel_layers.aliases()
    except Exception as error:  # noqa: BLE001 - a settings module may raise anything
        if not any(str(error) in problem.text for problem in subject.problems):
            variable = next((name for name in MODULE_VARIABLES if os.environ.get(name)), "the settings")
            text = f"CHANNEL_LAYERS cannot be read: {type(error).__name__}: {error}"
            yield Finding(Severity.ERROR, text, f"Correct the module that {variable} names.", check="layers")
        return
    for alias in aliases:
        try:
            subject.layers[alias] = get_channel_layer(alias)
        except Exception as error:  # noqa: BLE001 - a foreign constructor may raise any error
            text = f"layer {alias!r} cannot be created: {type(error).__name__}: {error}"
            fix = f"Correct CHANNEL_LAYERS[{alias!r}]: consumers that use this layer do not work."
            yield Finding(Severity.ERROR, text, fix, f"CHANNEL_LAYERS[{alias!r}]", "layers")
