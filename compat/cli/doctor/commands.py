"""Server commands in production: from ``--command``, the environment, and the files of the project.

No command is run. uvicorn's own parser reads its command lines, and the ``UVICORN_…`` variables of the
environment; for other servers only the number of workers is read.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from compat.cli.porting.sources import NotRead, read

__all__ = [
    "FILES",
    "WSGI_WORKERS",
    "ServerCommand",
    "commands_in",
    "commands_of",
    "server_commands",
    "workers_of_environment",
]

FILES = (
    "Procfile",
    "Dockerfile",
    "*.Dockerfile",
    "compose*.y*ml",
    "docker-compose*.y*ml",
    "*.service",
    "supervisord.conf",
    "fly.toml",
)
"""The files that may contain a server command, in the current folder."""

PROGRAMS = ("uvicorn", "gunicorn", "hypercorn", "daphne", "granian", "fastapi")
BETWEEN = ";&|"
"""The characters between two commands of a shell."""
LARGEST, LONGEST_LINE = 100_000, 10_000
"""The largest file in bytes, and the longest line in characters, that is searched for a server command."""
START = re.compile(rf"(?<![\w.-])(?:{'|'.join(PROGRAMS)})(?![\w.-])[\s\"',].*")
FOLDED = re.compile(r"(?!\s*#)(?:.*:|\s*-)\s+>[-+\d]*\s*")
"""The line of YAML before a text whose lines are one."""
LISTED = re.compile(r"\s*(?:-\s+)?(?:command|entrypoint):(?:\s+&\S+)?\s*(?:#.*)?")
"""The line of YAML before a list whose items are the words of a command."""
ITEM = re.compile(r"""\s*-\s+(?!#)("(?:[^"\\]|\\.)*"|'[^']*'|(?:(?!\s#).)*)""")
"""An item, without the comment after it."""
NOTHING = re.compile(r"\s*(?:#.*)?()")
OPTION = re.compile(r"\s+-\S")
APPLICATION = re.compile(
    r"[A-Za-z_][\w.]*(?::[A-Za-z_][\w.]*(?:\(\))?|\.[aw]sgi(?![\w.:]))|fastapi[\s\"',]+run\b"
)
"""``main:app``; ``mysite.wsgi``, as which gunicorn takes ``mysite.wsgi:application``; ``fastapi run``."""
WORKERS = re.compile(r"(?:^|\s)(?:-w|--workers|--num-workers)[=\s]*(\d+)")


WSGI_WORKERS = ("eventlet", "gevent", "gevent_pywsgi", "gevent_wsgi", "gthread", "sync", "tornado")
"""The workers of gunicorn apart from asgi, which is new in its version 24."""


@dataclass(frozen=True)
class ServerCommand:
    """A command that starts a server.

    ``options``: uvicorn's options by its own names, defaults included. ``given``: the names of the options
    that the command line or the environment sets.
    """

    source: str
    program: str = "uvicorn"
    text: str = ""
    workers: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)
    given: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return f"{self.source}: {self.text}" if self.text else self.source

    @property
    def worker_class(self) -> str:
        """The worker class that gunicorn's command line or the environment names, or ""."""
        return self.value_of("-k", "--worker-class")

    @property
    def serves_wsgi(self) -> bool:
        """True for gunicorn with a WSGI application, which has no websockets."""
        if self.program != "gunicorn" or self.worker_class not in ("", *WSGI_WORKERS):
            return False
        applications = filter(None, map(APPLICATION.search, self.text.split()))
        return any("wsgi" in application.group() for application in applications)

    def value_of(self, short: str, long: str) -> str:
        """Return the value of an option of gunicorn; "" without it."""
        words = f"{self.text} {os.environ.get('GUNICORN_CMD_ARGS', '')}"
        found = re.search(rf"(?:^|\s)(?:{short}\s*|{long}[=\s]\s*)(\S+)", words)
        return found.group(1) if found else ""


def server_commands(command: str | None, folder: Path) -> list[ServerCommand]:
    """Return ``command`` if given, else the commands in the files of ``folder``, else plain uvicorn."""
    if command:
        return commands_of(command, "--command")
    found = [one for path in _files(folder) for one in commands_in(path)]
    return found or [ServerCommand("uvicorn's defaults", "uvicorn", "", *_defaults())]


def _defaults() -> tuple[int, dict[str, Any], frozenset[str]]:
    options, given = _uvicorn_options(["app:app"])
    return options.get("workers") or workers_of_environment(), options, given


def _files(folder: Path) -> Iterator[Path]:
    for pattern in FILES:
        yield from sorted(path for path in folder.glob(pattern) if path.is_file())


def commands_in(path: Path) -> Iterator[ServerCommand]:
    """Yield the server commands in a file."""
    try:
        text = read(path, LARGEST).decode("utf-8", errors="replace")
    except NotRead:
        return
    lines = text.splitlines()
    for number, line in _joined(_unfolded(lines) if path.suffix in (".yml", ".yaml") else lines):
        skipped = line.lstrip().startswith("#") or len(line) > LONGEST_LINE
        found = None if skipped else _command_in(line)
        if found is not None and APPLICATION.search(found):
            yield from commands_of(found, f"{path.name}:{number}")


def _command_in(line: str) -> str | None:
    """Return what follows in a line from the name of a server on, up to the end of the quotes around it."""
    found = START.search(line)
    if found is None:
        return None
    text, quote = found.group(), ""
    for char in line[: found.start()]:
        if char in "'\"" and quote in ("", char):
            quote = "" if quote else char
    in_a_list = re.match(r"\w+['\"]", text)
    return text.partition(quote)[0] if quote and not in_a_list else text


def _unfolded(lines: Sequence[str]) -> list[str]:
    """Return the lines of YAML, where a text, or a list of words, over several lines ends each but its last
    with a backslash.
    """
    unfolded: list[str] = []
    within = -1  # the indentation of the line before the text
    listed = False
    for line in lines:
        indentation = len(line) - len(line.lstrip())
        item = (NOTHING.fullmatch(line) or ITEM.match(line)) if listed else None
        listed = item is not None or LISTED.fullmatch(line) is not None
        if item is not None:
            unfolded[-1] += "\\"
            within = indentation if FOLDED.fullmatch(line) else -1
            line = item.group(1)
        elif unfolded and (0 <= within < indentation or OPTION.match(line)):
            unfolded[-1] += "\\"
        elif line.strip():
            within = indentation if FOLDED.fullmatch(line) else -1
        unfolded.append(line)
    return unfolded


def _joined(lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yield the number of each line and its text, joined with the next line where it ends with a
    backslash.
    """
    begun, start = "", 0
    for number, line in enumerate(lines, 1):
        start = start if begun else number
        begun += line
        if begun.endswith("\\"):
            begun = begun[:-1] + " "
        else:
            yield start, begun
            begun = ""


def commands_of(line: str, source: str) -> list[ServerCommand]:
    """Parse the server commands of a command line, or of a JSON list of words, as their servers do."""
    return [_parsed(words, source) for words in _commands(line)]


def _parsed(words: Sequence[str], source: str) -> ServerCommand:
    names = [os.path.basename(word) for word in words]
    # "fastapi" is a usual name of folders, too.
    starts = [
        name in PROGRAMS and (name != "fastapi" or "run" in names[at + 1 : at + 2])
        for at, name in enumerate(names)
    ]
    at = starts.index(True) if True in starts else 0
    program, text = names[at] if names else "uvicorn", " ".join(words)
    arguments = [_without_variables(word) for word in words[at + 1 :]]
    options, given = _uvicorn_options(arguments if program == "uvicorn" else ["app:app"])
    if program == "uvicorn":
        workers = options.get("workers") or workers_of_environment()
    else:
        found = WORKERS.search(" ".join(arguments))
        workers = int(found.group(1)) if found else workers_of_environment()
    return ServerCommand(source, program, text, workers, options, given)


def workers_of_environment() -> int:
    """Return WEB_CONCURRENCY, which uvicorn and gunicorn read; 1 if it is not a positive number."""
    value = os.environ.get("WEB_CONCURRENCY", "")
    return int(value) if value.isdigit() and int(value) else 1


def _commands(line: str) -> list[list[str]]:
    """Split a line of a shell, or a JSON list of strings (a Dockerfile's CMD), into commands and their words.

    Return those that start an application, or else the first.
    """
    listed = re.search(r"\[.*\]", line)
    if listed is not None:
        try:
            words = [str(word) for word in json.loads(listed.group())]
        except ValueError:
            pass
        else:
            of_a_shell = next(filter(START.search, words), None)  # sh -c "uvicorn main:app"
            return [words] if of_a_shell is None else _commands(of_a_shell)
    plain = (_command_in(line) or line).rstrip("]")
    if re.search(r"['\"],\s*['\"]", plain):  # the end of a JSON list
        plain = re.sub(r"['\",]", " ", plain)
    try:
        lexer = shlex.shlex(plain, posix=True, punctuation_chars=BETWEEN)
        lexer.whitespace_split = True
        groups = groupby(lexer, lambda word: bool(word) and not word.strip(BETWEEN))  # "" separates none
        commands = [list(group) for is_between, group in groups if not is_between]
    except ValueError:
        return [plain.split()]
    return list(filter(_starts_one, commands)) or commands[:1]


def _starts_one(command: Sequence[str]) -> bool:
    names = {os.path.basename(word) for word in command}
    return not names.isdisjoint(PROGRAMS) and APPLICATION.search(" ".join(command)) is not None


def _uvicorn_options(arguments: Sequence[str]) -> tuple[dict[str, Any], frozenset[str]]:
    """Return every option of uvicorn with its value, and the names of those that are set explicitly."""
    try:
        from click.core import ParameterSource
        from uvicorn.main import main
    except ImportError:
        return {}, frozenset()
    context = main.make_context("uvicorn", list(arguments), resilient_parsing=True)
    chosen = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)
    given = (name for name in context.params if context.get_parameter_source(name) in chosen)
    return dict(context.params), frozenset(given)


def _without_variables(argument: str) -> str:
    """Replace ``${WORKERS:-4}`` by 4, and ``$PORT`` by its value in the environment."""
    with_default = re.sub(r"\$+\{(\w+):?-([^}]*)\}", lambda m: os.environ.get(m[1]) or m[2], argument)
    return os.path.expandvars(with_default)
