"""``channels-compat port``: rewrite the imports and settings of a project for ``compat``."""

from __future__ import annotations

import difflib
import os
import re
import shutil
import tempfile
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from compat.cli.application import refuse_own_compat
from compat.cli.check import django_names, progress_bar
from compat.cli.moves import NAMESAKES, PACKAGES, WITH_DJANGO
from compat.cli.porting.judge import DjangoNames, left, without_home
from compat.cli.porting.namesakes import Namesake, namesakes, own_packages, without
from compat.cli.porting.references import parsed, references_of
from compat.cli.porting.repository import refuse_dirty
from compat.cli.porting.sources import NotRead, Sources, module_names, read, sources, tops, with_packages
from compat.cli.printable import printable
from compat.exceptions import CompatError

if TYPE_CHECKING:
    import libcst as cst

    from compat.cli.porting.apps import Settings

__all__ = ["NeedsLibCST", "port", "ported"]

LIBRARY = "|".join(PACKAGES).encode()
IN_STRINGS = re.compile(rb"""['"](""" + LIBRARY + rb""")[.'"]""")
ROUTES = b"websocket_route"
APPS_SETTING = b"APPS"
SHARED = [name.encode() for name in NAMESAKES]
RELEVANT = {
    DjangoNames.keep: re.compile(rb"\b(" + LIBRARY + rb")\b|" + ROUTES + rb"|INSTALLED_APPS"),
    DjangoNames.shim: re.compile(rb"\b(django|" + LIBRARY + rb")\b|" + ROUTES + rb"|INSTALLED_APPS"),
}
"""A file that does not match is not parsed."""

USES_DJANGO = re.compile(rb"^[ \t]*((from|import) django\b|INSTALLED_APPS\b)", re.MULTILINE)

LONGEST_DIFF = 50_000
"""The number of lines; the time of a diff grows with their square."""


class NeedsLibCST(CompatError):
    """LibCST, which rewrites files, is not installed."""


def port(path: Path, *, write: bool, force: bool, only_imports: bool, django: str) -> int:
    """Print the changes of the files below ``path`` as a diff, or apply them if ``write`` is true.

    ``django``: an argument of ``check.django_names``. Returns the exit code: 0, or 1 if a file could not be
    parsed or written. Raises NothingThere, NeedsLibCST, NameTaken, and Dirty if git has uncommitted changes
    and ``write`` is true without ``force``.
    """
    found = sources(path)
    folder = path if path.is_dir() else path.parent
    names = django_names(django)
    _need_libcst()
    if write and not force:
        refuse_dirty(folder, found.files)
    for top in (folder, folder / "src"):
        refuse_own_compat(top)
    unread: list[Path] = []
    before = dict(_contents(found, path, unread))
    relevant = {file: text for file, text in before.items() if RELEVANT[names].search(text)}
    others = _namesakes(relevant)
    own = {file: own_packages(file, folder, partial(references_of, text)) for file, text in relevant.items()}
    kept = {file: others.keys() | own[file] for file in relevant}
    beside = _beside(path)
    with progress_bar(len(relevant), "porting") as advance:
        after = {}
        for file, text in ported(
            relevant, names, only_imports=only_imports, kept=kept, unread=unread, beside=beside
        ):
            after[file] = text
            advance(1)
    changed = {file: text for file, text in after.items() if text != before[file]}
    for top in sorted({top for file in changed for top in tops(file, folder)}):
        refuse_own_compat(top)
    failed = [file for file, text in changed.items() if write and not _written(file, text)]
    if not write:
        for file, text in changed.items():
            _show_diff(file, folder, before[file].decode(errors="replace"), text.decode(errors="replace"))
    modules = with_packages(module_names(found.files, folder))
    for file, text in after.items():
        left_over = _left(file, text, names, only_imports, others, own[file], modules)
        for line, what in (*left_over, *_versions(before[file], text)):
            name = file.relative_to(folder).as_posix()
            typer.secho(printable(f"{name}:{line}: {what}"), fg="yellow")
    _conclude(len(changed), len(failed), len({*before, *unread}), len(unread), write, names)
    on_django = changed and not only_imports and names is DjangoNames.keep
    if on_django and _lacks_app({**beside, **before, **after}.values()):
        typer.echo(f'No INSTALLED_APPS in these files has "{WITH_DJANGO}": add it to the site\'s settings')
    return 1 if failed or unread else 0


def _namesakes(files: Mapping[Path, bytes]) -> Mapping[str, Namesake]:
    named = {file: text for file, text in files.items() if any(name in text for name in SHARED)}
    return namesakes({file: references_of(text) for file, text in named.items()})


def _left(
    file: Path,
    text: bytes,
    django: DjangoNames,
    only_imports: bool,
    others: Mapping[str, Namesake],
    own: set[str],
    modules: Container[str],
) -> Iterator[tuple[int, str]]:
    """Yield what the user has to decide in a file that was ported, with the line."""
    from compat.cli.porting.nodes import root_of
    from compat.cli.porting.rewrite import new_home

    yield from ((one.line, one.why) for one in others.values() if one.file == file)
    found = without(references_of(text), others.keys() | own)
    for one in found.imports:
        package = root_of(one.module)
        if package in others or package in own:
            continue
        if not one.level and (why := without_home(one, django)):
            yield one.line, f"{one.spelled} is left: {why}"
        elif one.name is None and (new := new_home(one.module, None, django)):
            names = f"{package}, or {root_of(new.module)}, otherwise too"
            yield one.line, f"{one.spelled} is left, because the file uses the name {names}"
    for string in () if only_imports else found.texts:
        if what := left(string, modules):
            yield string.line, what


def _versions(before: bytes, after: bytes) -> Iterator[tuple[int, str]]:
    """Yield the lines that have the version of Channels, and have ours after the port."""
    if before != after and b"__version__" in after:
        name = "compat.__version__"
        for line in dict.fromkeys(use.line for use in references_of(after).uses if use.path == name):
            yield line, f"{name} is the version of channels-compat, not of Channels"


def _contents(found: Sources, path: Path, unread: list[Path]) -> Iterator[tuple[Path, bytes]]:
    """Yield each file and its content; report files that are left out on stderr.

    ``unread``: takes the files that cannot be read, and ``path`` itself if it is left out.
    """
    for file, reason in {**found.left_out, **found.closed}.items():
        _left_out(file, reason)
    for file in found.files:
        try:
            if file.is_symlink():
                _left_out(file, f"it is a link to {os.readlink(file)}: name that file itself")
                unread += [file] if file == path else []
            else:
                yield file, read(file)
        except NotRead as error:
            _left_out(file, str(error))
            unread.append(file)


def _left_out(file: Path, reason: str) -> None:
    typer.echo(printable(f"{file}: not changed, because {reason}"), err=True)


def _written(file: Path, text: bytes) -> bool:
    try:
        replace(file, text)
    except OSError as error:
        typer.secho(printable(f"error: {file} cannot be written: {error.strerror}"), err=True, fg="red")
        return False
    typer.echo(printable(f"ported {file}"))
    return True


def replace(file: Path, text: bytes) -> None:
    """Replace the content of ``file`` by ``text`` in one step.

    A new file takes the name, so that no link is followed and other names of the same file keep their
    content.
    """
    descriptor, new = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with open(descriptor, "wb") as out:
            out.write(text)
        found = file.stat()
        if hasattr(os, "chown"):
            with suppress(OSError):  # only root may give files away, and in a container not to everybody
                os.chown(new, found.st_uid, found.st_gid)
        shutil.copymode(file, new)
        os.replace(new, file)
    except BaseException:
        os.unlink(new)
        raise


def _lacks_app(texts: Iterable[bytes]) -> bool:
    """Return True if the ported project uses Django but does not have the app that connects it with
    compat.
    """
    texts = list(texts)
    uses_django = any(USES_DJANGO.search(text) for text in texts)
    return uses_django and not any(WITH_DJANGO.encode() in text for text in texts)


def _need_libcst() -> None:
    try:
        import libcst  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != "libcst":
            raise
        raise NeedsLibCST('port needs LibCST. Run: pip install "channels-compat[port]"') from error


def ported(
    files: Mapping[Path, bytes],
    django: DjangoNames,
    *,
    only_imports: bool = False,
    kept: Mapping[Path, Container[str]] | None = None,
    unread: list[Path] | None = None,
    beside: Mapping[Path, bytes] | None = None,
) -> Iterator[tuple[Path, bytes]]:
    """Yield each file and its new content; a file that cannot be parsed keeps its content.

    ``kept``: the packages that stay in a file, because another one of that name is meant. ``unread``: takes
    the files that cannot be parsed. ``beside``: settings that the files may import, and that are not ported.
    """
    settings = None if only_imports else _settings({**(beside or {}), **files})
    for file, before in files.items():
        try:
            yield file, _rewritten(file, before, django, settings, (kept or {}).get(file, ()))
        except (_CannotParse, RecursionError) as error:
            why = error if isinstance(error, _CannotParse) else "its code is nested too deeply"
            _left_out(file, f"it cannot be read: {why}")
            if unread is not None:
                unread.append(file)
            yield file, before


class _CannotParse(Exception):
    """A file cannot be parsed; the message is that of the parser."""


def _rewritten(
    file: Path, before: bytes, django: DjangoNames, settings: Settings | None, kept: Container[str]
) -> bytes:
    from compat.cli.porting.idioms import Routes, with_new_strings
    from compat.cli.porting.rewrite import Imports

    module = (settings and settings.module(file)) or _parsed(before)
    # Each step walks the whole tree, so only steps that can find something run.
    if settings is not None:
        if APPS_SETTING in before:
            module = module.visit(settings.of(file))  # the first, because it knows the nodes of this tree
        if IN_STRINGS.search(before):
            module = with_new_strings(module, kept)
        if ROUTES in before:
            module = module.visit(Routes())
    module = module.visit(Imports(django, kept))
    return module.bytes


def _parsed(source: bytes) -> cst.Module:
    import libcst as cst

    try:
        # Python's parser refuses code that is nested too deeply; LibCST would crash the process.
        parsed(source)
        return cst.parse_module(source)
    except (RecursionError, MemoryError):
        raise _CannotParse("its code is nested too deeply") from None
    except SyntaxError as error:
        raise _CannotParse(f"{error.msg} (line {error.lineno})" if error.lineno else error.msg) from error
    except Exception as error:
        raise _CannotParse(str(getattr(error, "message", None) or error)) from error


def _beside(path: Path) -> dict[Path, bytes]:
    """Return the other settings in the folder of a file: one that adds to their list of apps needs no app of
    its own.
    """
    found = {}
    for file in sorted(path.parent.glob("*.py")) if path.is_file() else ():
        with suppress(NotRead):
            text = read(file)
            if APPS_SETTING in text:
                found[file] = text
    return found


def _settings(files: Mapping[Path, bytes]) -> Settings:
    from compat.cli.porting.apps import Settings

    modules = {}
    for file, text in files.items():
        if APPS_SETTING in text:
            with suppress(_CannotParse, RecursionError):  # reported when the file is ported
                modules[file] = _parsed(text)
    return Settings(modules)


def _show_diff(file: Path, folder: Path, before: str, after: str) -> None:
    name = file.relative_to(folder).as_posix()
    colours = {"+": typer.colors.GREEN, "-": typer.colors.RED, "@": typer.colors.CYAN}
    old, new = _lines(before), _lines(after)
    if len(old) > LONGEST_DIFF:
        typer.echo(printable(f"{name}: would change; its {len(old):,} lines are too many for a diff"))
        return
    for line in difflib.unified_diff(old, new, printable(f"a/{name}"), printable(f"b/{name}"), n=1):
        text = line.rstrip("\r\n")
        end = line[len(text) :]
        end += "" if end.endswith("\n") else "\n\\ No newline at end of file\n"
        typer.secho(printable(text, "\t\f") + end, nl=False, fg=colours.get(line[:1]))


def _lines(text: str) -> list[str]:
    """Return the lines as git counts them; ``splitlines()`` also splits at form feeds and others."""
    return [line for line in re.split(r"(?<=\n)", text) if line]


def _conclude(changed: int, failed: int, total: int, unread: int, write: bool, django: DjangoNames) -> None:
    plural = "s" if total != 1 else ""
    if unread:
        typer.secho(f"{unread} of {total} file{plural} cannot be read", err=True, fg="red")
    if not changed:
        typer.echo(f"nothing to port in {total - unread} file{'s' if total - unread != 1 else ''}")
        return
    verb = "ported" if write else "would change"
    whose = "django_shim.django" if django is DjangoNames.shim else "django"
    typer.echo(f"{changed - failed} of {total} file{plural} {verb}; Django's names are imported from {whose}")
    if write:
        typer.echo("To see what remains to be ported: channels-compat check")
    else:
        typer.echo("No file was written: add --write")
