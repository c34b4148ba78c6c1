"""The files of a project: which to read, their content, and their module names.

The project may be hostile: only regular files below the folder are read, up to a size, and links out of the
folder are not followed. Each file that is left out has a reason, which the commands print.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from compat.exceptions import CompatError

__all__ = [
    "NotRead",
    "NothingThere",
    "Sources",
    "is_there",
    "module_names",
    "name_below",
    "own_names",
    "read",
    "sources",
    "template_files",
    "tops",
    "with_packages",
]

SKIPPED = {
    "__pycache__",
    "__pypackages__",
    "bower_components",
    "node_modules",
    "site-packages",
    "venv",
}
"""Folders with foreign code or without code."""

TEMPLATES = {".html", ".txt", ".xml", ".djhtml"}

LARGEST = 1024 * 1024
"""The size of the largest file that is read, in bytes; a syntax tree needs some hundred times as much
memory.
"""

KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


class NothingThere(CompatError):
    """The given path has no Python file."""


class NotRead(CompatError):
    """A file is not read; the message is the reason, without the file's name."""


class Sources(NamedTuple):
    """The Python files at or below a path, sorted, and the files that are left out, with the reasons.

    ``closed``: the folders that cannot be read, with the reasons; often they are those of a database.
    """

    files: list[Path]
    left_out: dict[Path, str]
    closed: dict[Path, str]


def sources(path: Path) -> Sources:
    """Find the Python files at or below ``path``, without hidden files and virtual environments.

    Raises NothingThere.
    """
    try:
        if path.is_file():
            return Sources([path], {}, {})
        is_folder = path.is_dir()
        if is_folder:
            os.scandir(path).close()
    except OSError as error:
        why = error.strerror
        raise NothingThere(f"{path} cannot be read: {why}. Name a folder that you may read") from error
    if not is_folder:
        what = f"{path} is {_kind(path)}" if os.path.lexists(path) else f"there is no {path}"
        raise NothingThere(f"{what}. Name a folder or a file")
    closed: dict[Path, str] = {}
    found = sorted(file for file in _below(path, closed) if file.suffix == ".py")
    if not found:
        where = path if path.name else "the current folder"
        raise NothingThere(
            f"there is no Python file in {where}. Name the folder that contains manage.py or main.py"
        )
    reasons = {file: _why_not(file, path) for file in found}
    return Sources(
        [file for file in found if not reasons[file]],
        {file: reason for file, reason in reasons.items() if reason},
        closed,
    )


def template_files(folder: Path) -> list[Path]:
    """Return the templates below ``folder``: files in folders named ``templates``."""
    found = (file for file in _below(folder, {}) if file.suffix in TEMPLATES)
    inside = sorted(file for file in found if "templates" in file.relative_to(folder).parts)
    return [file for file in inside if not _why_not(file, folder)]


def read(path: Path, largest: int = LARGEST) -> bytes:
    """Return the content of a regular file of at most ``largest`` bytes; raises NotRead for any other."""
    try:
        # O_NONBLOCK: do not wait for the other end if the file has been replaced by a pipe.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise NotRead(f"it is {_kind(path)}")
            content = file.read(largest + 1)
    except OSError as error:
        raise NotRead(error.strerror or str(error)) from error
    if len(content) > largest:
        raise NotRead(f"it is larger than {largest // 1024:,} KiB")
    return content


def _why_not(file: Path, root: Path) -> str:
    """Return why ``file``, found below ``root``, is left out; "" if it is read."""
    try:
        if file.is_symlink() and not _is_below(file, root):
            return f"it is a link out of the folder, to {os.readlink(file)}"
        found = file.stat()
    except OSError as error:  # a dangling or circular link
        return error.strerror or str(error)
    if not stat.S_ISREG(found.st_mode):
        return f"it is {_kind(file)}"
    return f"it is larger than {LARGEST // 1024:,} KiB" if found.st_size > LARGEST else ""


def _is_below(file: Path, root: Path) -> bool:
    return Path(os.path.realpath(file)).is_relative_to(os.path.realpath(root))


def _kind(path: Path) -> str:
    try:
        return KINDS.get(stat.S_IFMT(path.stat().st_mode), "no regular file")
    except OSError:
        return "a link that leads nowhere"


def _below(folder: Path, closed: dict[Path, str]) -> Iterator[Path]:
    """Yield every file below ``folder``; without recursion, because a tree may be deeper than the stack.

    ``closed``: takes the folders that cannot be read, with the reasons.
    """
    waiting = [str(folder)]
    while waiting:
        here = waiting.pop()
        try:
            with os.scandir(here) as entries:
                found = [entry for entry in entries if not entry.name.startswith(".")]
        except OSError as error:  # no permission, or the folder was deleted
            closed[Path(here)] = error.strerror or str(error)
            continue
        for entry in found:
            if not entry.is_dir(follow_symlinks=False):
                if not os.path.isdir(entry.path):  # links to folders are not followed
                    yield Path(entry.path)
            elif not _is_foreign(entry):
                waiting.append(entry.path)


def _is_foreign(folder: os.DirEntry[str]) -> bool:
    return (
        folder.name in SKIPPED
        or folder.name.endswith(".egg-info")
        or os.path.exists(os.path.join(folder.path, "pyvenv.cfg"))
    )


def module_names(files: Sequence[Path], root: Path) -> dict[str, Path]:
    """Return a dict of dotted names to files, with every name that a file may have.

    A folder without ``__init__.py`` may be a package too.
    """
    names: dict[str, Path] = {}
    for file in files:
        for top in tops(file, root):
            if name := _dotted(file, top):
                names.setdefault(name, file)
    return names


def with_packages(modules: Iterable[str]) -> set[str]:
    """Return the names of modules, and of the folders with modules that have no ``__init__.py``."""
    found = set(modules)
    for name in modules:
        while name := name.rpartition(".")[0]:
            found.add(name)
    return found


def tops(file: Path, root: Path) -> tuple[Path, Path, Path]:
    """Return the folders that may be on ``sys.path`` when ``file`` is imported: the one above its outermost
    package, ``root``, and ``root/src``.
    """
    return _above_package(file), root, root / "src"


def own_names(files: Iterable[Path]) -> dict[Path, str]:
    """Return a dict of files to the names that they are usually imported by: those below their outermost
    package.
    """
    return {file: _dotted(file, _above_package(file)) or file.stem for file in files}


def name_below(file: Path, root: Path) -> str:
    """Return the module name of a file if ``root`` is on ``sys.path`` and every folder is a package."""
    return _dotted(file, root) or file.stem


def is_there(file: Path, level: int, module: str) -> bool:
    """Return True if an import in ``file`` finds a file or folder, also one that is not checked.

    An absolute import, of ``level`` 0, is looked for above the outermost package of ``file``.
    """
    folders = Path(os.path.abspath(file)).parents[level - 1 : level] if level else (_above_package(file),)
    found = (folder.joinpath(*module.split(".") if module else ()) for folder in folders)
    return any(path.is_dir() or path.with_suffix(".py").is_file() for path in found)


def _above_package(file: Path) -> Path:
    folder = file.parent
    while (folder / "__init__.py").exists():
        # "." and ".." do not say what is above them.
        above = folder.parent if folder.name not in ("", "..") else Path(os.path.abspath(folder)).parent
        if above == folder:
            break
        folder = above
    return folder


def _dotted(file: Path, top: Path) -> str:
    if top.is_absolute():
        file = Path(os.path.abspath(file))
    try:
        parts = file.relative_to(top).with_suffix("").parts
    except ValueError:
        return ""
    if parts[-1] == "__init__":
        parts = parts[:-1]
    return ".".join(parts) if all(part.isidentifier() for part in parts) else ""
