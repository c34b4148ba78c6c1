"""``manage.py collectstatic``: the static files of all apps in one folder, for a web server to serve."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ....conf import settings
from ....contrib.staticfiles.finders import folders
from ..base import BaseCommand, CommandError

__all__ = ["Command"]


IGNORED = ("CVS", ".*", "*~")
"""What is no static file: the folders of version control, ``.env``, an editor's copies."""


class Command(BaseCommand):
    """Copies them to STATIC_ROOT; where two have one name, the one that is found first wins."""

    help = "Copies the static files of all apps to STATIC_ROOT."
    stealth_options = ("interactive", "post_process")
    _without_effect = "--noinput --no-input --no-post-process --link -l"

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("-n", "--dry-run", action="store_true", help="Only say what would be copied.")
        parser.add_argument(
            *("-i", "--ignore"),
            action="append",
            default=[],
            dest="ignore_patterns",
            metavar="PATTERN",
            help="Leave files and folders with such names out, besides CVS, .* and *~.",
        )
        parser.add_argument(
            "--no-default-ignore",
            action="store_false",
            dest="use_default_ignore_patterns",
            help="Copy CVS, .* and *~ too.",
        )
        parser.add_argument("-c", "--clear", action="store_true", help="Empty STATIC_ROOT first.")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.STATIC_ROOT:
            raise CommandError("STATIC_ROOT is not set: it names the folder to copy to.")
        root, sources = Path(settings.STATIC_ROOT), list(folders())
        for _, folder in sources:
            _require_apart(root.resolve(), folder.resolve(), options["clear"])
        if options["clear"] and root.is_dir() and not options["dry_run"]:
            _empty(root)
        ignored = [*options["ignore_patterns"], *(IGNORED if options["use_default_ignore_patterns"] else ())]
        found: dict[Path, Path] = {}
        for prefix, folder in sources:
            for file in _files(folder):
                path = file.relative_to(folder)
                if not _is_ignored(path, ignored):
                    found.setdefault(root / prefix / path, file)
        found = {target: file for target, file in found.items() if _place(target) != _place(file)}
        for target, file in found.items():
            if options["verbosity"] > 1 or options["dry_run"]:
                self.stdout.write(f"{'Pretending to copy' if options['dry_run'] else 'Copying'} '{file}'")
            if not options["dry_run"]:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.unlink(missing_ok=True)  # through a link, the file that it leads to would be written
                shutil.copy2(file, target)
        files = "1 static file" if len(found) == 1 else f"{len(found)} static files"
        self.stdout.write(f"{files} copied to '{root}'.")


def _place(path: Path) -> Path:
    """Return where a file or a link is, however its folder is named: through links, or not."""
    return path.parent.resolve() / path.name


def _require_apart(root: Path, source: Path, clears: bool) -> None:
    """Raise CommandError if static files would be copied to themselves, or deleted before that."""
    if root == source or (clears and root in source.parents):
        raise CommandError(
            f"STATIC_ROOT is '{root}', and static files come from '{source}': name another folder to copy to."
        )


def _files(folder: Path, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """Yield the files below a folder, links followed; not once more those of a folder that is around it."""
    place = folder.resolve()
    if place in above or not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            yield from _files(path, (*above, place))
        elif path.is_file():
            yield path


def _empty(folder: Path) -> None:
    """Delete what is in a folder, which itself may be a link or a mount point; what links lead to stays."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            _empty(path)
            with suppress(OSError):  # a mount point stays, empty
                path.rmdir()
        else:
            path.unlink()


def _is_ignored(path: Path, patterns: Sequence[str]) -> bool:
    """Return True if the path, or a name in it, is like one of ``patterns``."""
    names = (path.as_posix(), *path.parts)
    return any(fnmatchcase(name, pattern) for pattern in patterns for name in names)
