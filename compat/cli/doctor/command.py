"""``channels-compat doctor``: run the checks, print the report, return the exit code.

A project that imports ``channels`` or ``django`` can only be imported with the shim. Without it, this command
runs itself again behind ``django-shim``.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from importlib.util import find_spec

import typer

from compat.cli.doctor import Diagnosis, Wanted, diagnose
from compat.cli.moves import PROVIDED
from compat.cli.printable import printable

__all__ = ["needs_the_shim", "run"]

AGAIN = "import sys; from compat.cli import main; sys.argv[0] = 'channels-compat'; main()"


def run(
    application: str | None,
    *,
    members: int | None = None,
    workers: int | None = None,
    command: str | None = None,
    as_json: bool = False,
) -> int:
    """Examine the application, print the report, and return the exit code: 0, 3 for a warning, 4 for an
    error.
    """
    with contextlib.redirect_stdout(sys.stderr):  # the application may print during its import
        diagnosis = diagnose(Wanted(application, members, workers, command))
    if needs_the_shim(diagnosis):
        return _behind_the_shim()
    if as_json:
        typer.echo(diagnosis.as_json())
    else:
        for text, colour in diagnosis.lines():
            typer.secho(printable(text), fg=colour)
    return diagnosis.exit_code


def needs_the_shim(diagnosis: Diagnosis) -> bool:
    """Return True if the project imports a package of the shim, and this interpreter runs without the
    shim.
    """
    if os.environ.get("DJANGO_SHIM") == "1" or find_spec("django_shim") is None:
        return False
    return diagnosis.subject.missing in PROVIDED


def _behind_the_shim() -> int:
    typer.echo("doctor: the project imports packages of the shim; running again with django-shim", err=True)
    sys.stdout.flush()
    again = [sys.executable, "-m", "django_shim", "python", "-c", AGAIN, *sys.argv[1:]]
    return subprocess.run(again, check=False).returncode
