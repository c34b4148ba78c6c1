"""``channels-compat check``: report which files of a project run unchanged under the shim."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from compat.cli.porting.environment import django_is_installed
from compat.cli.porting.judge import DjangoNames
from compat.cli.porting.project import inspect
from compat.cli.porting.report import as_github, as_json, as_text, exit_code
from compat.cli.porting.sources import sources
from compat.cli.printable import printable

__all__ = ["check", "django_names", "progress_bar"]


def django_names(choice: str) -> DjangoNames:
    """Return the DjangoNames for "keep", "shim" or "auto" (keep if the real Django is installed)."""
    if choice == "auto":
        return DjangoNames.keep if django_is_installed() else DjangoNames.shim
    return DjangoNames(choice)


def check(path: Path, *, format: str, django: str, everything: bool) -> int:
    """Print the report about ``path`` and return the exit code: 0, 3 for warnings, 4 for errors.

    ``format``: "text", "json" or "github". ``django``: an argument of ``django_names``. ``everything``: print
    also references that work unchanged. Raises NothingThere.
    """
    below = sources(path)
    for folder, reason in below.closed.items():
        typer.echo(printable(f"{folder}: not read, because {reason}"), err=True)
    with progress_bar(len(below.files), "reading") as advance:
        report = inspect(path, django_names(django), advance, below)
    if format == "json":
        typer.echo(as_json(report))
    elif format == "github":
        for line in as_github(report, _below_here(report.root)):
            typer.echo(printable(line))
    else:
        for line in as_text(report, typer.style, everything):
            typer.echo(line)
        typer.secho(f"{report.lines:,} lines in {report.seconds:.1f} s", dim=True)
    return exit_code(report)


def _below_here(root: Path) -> str:
    """Return the prefix that makes paths below ``root`` relative to the current folder."""
    try:
        below = root.resolve().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return f"{root.as_posix()}/"
    return "" if below == "." else f"{below}/"


@contextmanager
def progress_bar(length: int, label: str) -> Iterator[Callable[[int], object]]:
    """Yield a function that moves the bar by a number of finished files. Only a terminal shows the bar."""
    if not sys.stderr.isatty():
        yield lambda count: None
        return
    with typer.progressbar(length=length, label=label, file=sys.stderr) as bar:
        yield bar.update
