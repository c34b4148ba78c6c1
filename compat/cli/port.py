"""``channels-compat port``: a project's imports and settings, rewritten for ``compat``."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from compat.cli.check import django_names, progress_bar
from compat.cli.moves import APPS, LIBRARIES, WITH_DJANGO
from compat.cli.porting.judge import DjangoNames
from compat.cli.porting.references import References, references
from compat.cli.porting.repository import refuse_dirty
from compat.cli.porting.sources import python_files
from compat.exceptions import CompatError

if TYPE_CHECKING:
    from compat.cli.porting.idioms import Apps

__all__ = ["NeedsLibCST", "port", "ported"]

LIBRARY = "|".join(name for name in LIBRARIES if name != "django").encode()
IN_STRINGS = re.compile(rb"""['"](""" + LIBRARY + rb")\.")
ROUTES = b"websocket_route"
APPS_SETTING = b"APPS"
RELEVANT = {
    DjangoNames.keep: re.compile(rb"\b(" + LIBRARY + rb")\b|" + ROUTES + rb"|INSTALLED_APPS"),
    DjangoNames.shim: re.compile(rb"\b(django|" + LIBRARY + rb")\b|" + ROUTES + rb"|INSTALLED_APPS"),
}
"""A file without any of these is not parsed."""


class NeedsLibCST(CompatError):
    """The extra that rewrites files is not installed."""


def port(path: Path, *, write: bool, force: bool, only_imports: bool, django: str) -> int:
    """Show what would change below ``path`` as a diff, or with ``write`` change it; returns the exit code, 0.

    ``django``: as ``check.django_names``. Raises NothingThere, NeedsLibCST, and Dirty where git has changes
    that are not committed and ``write`` is given without ``force``.
    """
    files = python_files(path)
    folder = path if path.is_dir() else path.parent
    names = django_names(django)
    _need_libcst()
    if write and not force:
        refuse_dirty(folder)
    changed = 0
    relevant = [file for file in files if RELEVANT[names].search(file.read_bytes())]
    with progress_bar(len(relevant), "porting") as advance:
        results = []
        for one in ported(relevant, names, only_imports=only_imports):
            results.append(one)
            advance(1)
    for file, before, after in results:
        if before == after:
            continue
        changed += 1
        if write:
            file.write_bytes(after)
            typer.echo(f"ported {file}")
        else:
            _show_diff(file, folder, before.decode(errors="replace"), after.decode(errors="replace"))
    _conclude(changed, len(files), write, names)
    if changed and not only_imports and names is DjangoNames.keep and _lacks_app(files, results):
        typer.echo(f'No settings here have "{WITH_DJANGO}" in INSTALLED_APPS: add it to those of the site')
    return 0


def _lacks_app(files: Sequence[Path], results: Sequence[tuple[Path, bytes, bytes]]) -> bool:
    """Does a project on Django come out of the port without the app that connects it with compat?"""
    after = {file: text for file, _, text in results}
    texts = [after.get(file) or file.read_bytes() for file in files]
    uses_django = any(re.search(rb"^\s*(from|import) django\b", text, re.MULTILINE) for text in texts)
    return uses_django and not any(WITH_DJANGO.encode() in text for text in texts)


def _need_libcst() -> None:
    try:
        import libcst  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != "libcst":
            raise
        raise NeedsLibCST('port needs LibCST. Run: pip install "channels-compat[port]"') from error


def ported(
    files: Sequence[Path], django: DjangoNames, *, only_imports: bool = False
) -> Iterator[tuple[Path, bytes, bytes]]:
    """Each file with its bytes before and after; a file that is no Python is left as it is."""
    import libcst as cst

    from compat.cli.porting.idioms import Routes, Strings
    from compat.cli.porting.rewrite import Imports

    apps = None if only_imports else _apps(files)
    for file in files:
        before = file.read_bytes()
        try:
            module = cst.parse_module(before)
        except (cst.ParserSyntaxError, ValueError, LookupError) as error:
            why = getattr(error, "message", None) or error
            typer.secho(f"{file}: left as it is, since it cannot be read: {why}", err=True)
            yield file, before, before
            continue
        steps: list[cst.CSTTransformer] = [Imports(django)]
        if not only_imports:
            # Each step walks the whole tree: only those that could find something.
            steps += [Strings()] * bool(IN_STRINGS.search(before))
            steps += [Routes()] * (ROUTES in before)
        if apps is not None and APPS_SETTING in before:
            steps.append(apps.of(file))
        for step in steps:
            module = module.visit(step)
        yield file, before, module.bytes


class _Settings:
    """What the settings of the whole project have by way of apps."""

    def __init__(self, found: dict[Path, References]) -> None:
        from compat.cli.porting.idioms import replaced_apps

        texts = [text for one in found.values() for text in one.texts if text.setting.endswith("APPS")]
        present = frozenset(text.value for text in texts if text.value in APPS)
        self._has_ours = any(text.value == WITH_DJANGO for text in texts)
        self._replaced = replaced_apps(present)
        self._main = {
            path
            for path, one in found.items()
            if "INSTALLED_APPS" in one.settings and one.settings & {"ASGI_APPLICATION", "CHANNEL_LAYERS"}
        }

    def of(self, file: Path) -> Apps:
        from compat.cli.porting.idioms import Apps

        missing = not self._replaced and not self._has_ours and file in self._main
        return Apps(self._replaced, missing=missing)


def _apps(files: Sequence[Path]) -> _Settings:
    return _Settings({file: references(file) for file in files if APPS_SETTING in file.read_bytes()})


def _show_diff(file: Path, folder: Path, before: str, after: str) -> None:
    name = file.relative_to(folder).as_posix()
    colours = {"+": typer.colors.GREEN, "-": typer.colors.RED, "@": typer.colors.CYAN}
    for line in difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{name}", f"b/{name}", n=1
    ):
        ended = line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"
        typer.secho(ended, nl=False, fg=colours.get(line[:1]))


def _conclude(changed: int, total: int, write: bool, django: DjangoNames) -> None:
    plural = "s" if total != 1 else ""
    if not changed:
        typer.echo(f"nothing to port in {total} file{plural}")
        return
    verb = "ported" if write else "would change"
    whose = "django_shim.django" if django is DjangoNames.shim else "django"
    typer.echo(f"{changed} of {total} file{plural} {verb}; Django's names are imported from {whose}")
    if write:
        typer.echo("What is left: channels-compat check")
    else:
        typer.echo("Nothing was written: add --write")
