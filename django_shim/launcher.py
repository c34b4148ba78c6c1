"""The ``django-shim`` command: runs another command so that every interpreter in it has the shim.

It only sets two environment variables and becomes that command: PYTHONPATH, with the bootstrap folder first,
and ``DJANGO_SHIM=1`` for interpreters that do not read PYTHONPATH (``python -I``, a launcher with its own
sitecustomize). Workers, reloaders and spawned processes inherit both.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import PathFinder

from django_shim.finder import HERE, name_taken, own_compat

__all__ = ["child_environment", "main", "resolve", "run_child"]

BOOTSTRAP = os.path.join(HERE, "bootstrap")

SERVER = "'channels-compat[server]'"
PACKAGES_OF = {"uvicorn": SERVER, "channels-compat": SERVER, "watchfiles": SERVER}
"""Maps a command to what installs it, for the error about a missing command."""

USAGE = """\
usage: django-shim COMMAND [ARGUMENT …]
       django-shim stubs [--write [FOLDER]]

Runs COMMAND with 'import channels', 'channels_redis' and 'daphne' served by channels-compat, and, where
Django is not installed, the part of 'import django' that a Channels project cannot do without.

  django-shim uvicorn mysite.asgi:application
  django-shim python manage.py runserver
  django-shim manage.py migrate
  django-shim pytest

'python' and '*.py' run with this interpreter ({python});
other commands are looked for beside it first, then on PATH.
'django-shim stubs' prints the configuration that shows the same names to mypy and pyright;
with --write it puts them into a folder (typings) that editors look into.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command in ``arguments`` (default: the command line); return an exit code only if it fails."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE.format(python=sys.executable), end="", file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else 2
    if arguments[0] == "--version":
        return _print_version()
    if arguments[0] == "stubs":
        from django_shim import stubs

        return stubs.main(arguments[1:])
    if arguments[0] == "--":
        arguments = arguments[1:]
    if not arguments or arguments[0].startswith("-"):
        print(
            f"django-shim: there is no option {''.join(arguments[:1])!r}; see django-shim --help",
            file=sys.stderr,
        )
        return 2
    command = resolve(arguments)
    if command is None:
        beside = os.path.dirname(sys.executable)
        package = PACKAGES_OF.get(arguments[0], "PACKAGE (the one that brings it)")
        print(
            f"django-shim: there is no command {arguments[0]!r} in {beside} nor on PATH. Install it: "
            f"{sys.executable} -m pip install {package}",
            file=sys.stderr,
        )
        return 127
    if taken := own_compat(_first_on_path(command)):
        print(f"django-shim: {name_taken(taken)}", file=sys.stderr)
        return 1
    if os.environ.get("DJANGO_SHIM") != "1":
        _say_what_is_overridden()
    return _become(command, child_environment(os.environ))


def resolve(arguments: Sequence[str]) -> list[str] | None:
    """Return the command line for ``arguments``, with the program as a path; None if it does not exist."""
    name, rest = arguments[0], list(arguments[1:])
    if name.lower().endswith(".py"):
        return [sys.executable, name, *rest]
    if name.lower().removesuffix(".exe") in _own_names():
        return [sys.executable, *rest]
    program = shutil.which(name, path=os.path.dirname(sys.executable)) or shutil.which(name)
    if program is None and name == "daphne":
        return [sys.executable, "-m", name, *rest]  # ours has no command of its own on disk
    return [program, *rest] if program else None


def _first_on_path(command: Sequence[str]) -> str:
    """Return the folder that the interpreter searches first: a script's folder, else the current one."""
    script = next((word for word in command[1:] if not word.startswith("-")), "")
    return os.path.dirname(script) if command[0] == sys.executable and script.endswith(".py") else ""


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return ``environment`` with the two variables of the shim.

    Empty entries of PYTHONPATH are dropped. They mean the current folder, usually come from joining to an
    unset variable, and would put the folder before the standard library.
    """
    inherited = environment.get("PYTHONPATH", "").split(os.pathsep)
    entries = [BOOTSTRAP, *(entry for entry in inherited if entry and entry != BOOTSTRAP)]
    return {**environment, "PYTHONPATH": os.pathsep.join(entries), "DJANGO_SHIM": "1"}


def _own_names() -> set[str]:
    major, minor = sys.version_info[:2]
    return {"python", f"python{major}", f"python{major}.{minor}"}


def _become(command: list[str], environment: dict[str, str]) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        if os.name == "nt":
            return run_child(command, environment)
        os.execve(command[0], command, environment)
    except OSError as error:
        print(f"django-shim: {command[0]} cannot be run: {error.strerror}", file=sys.stderr)
        return 126


def run_child(command: list[str], environment: dict[str, str]) -> int:
    """Run a command as a child and return its exit code; for Windows, where exec leaves two processes."""
    child = subprocess.Popen(command, env=environment)
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:
            continue


def _say_what_is_overridden() -> None:
    spec = PathFinder.find_spec("channels")
    if spec is None or spec.origin is None:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        found = f"channels {version('channels')}"
    except PackageNotFoundError:
        found = "a package 'channels'"
    print(
        f"django-shim: {found} is installed ({os.path.dirname(spec.origin)}); "
        "this run uses channels-compat instead",
        file=sys.stderr,
    )


def _print_version() -> int:
    from importlib.metadata import version

    print(f"django-shim (channels-compat {version('channels-compat')})")
    return 0
