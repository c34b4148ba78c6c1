"""Which files belong to a project, and by which names they are imported."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from compat.exceptions import CompatError

__all__ = ["NothingThere", "module_names", "name_below", "own_names", "python_files", "template_files"]

SKIPPED = {
    "__pycache__",
    "__pypackages__",
    "bower_components",
    "node_modules",
    "site-packages",
    "venv",
}
"""Folders that hold somebody else's code, or none."""

TEMPLATES = {".html", ".txt", ".xml", ".djhtml"}


class NothingThere(CompatError):
    """There is no Python file at the path that was given."""


def python_files(path: Path) -> list[Path]:
    """The Python files at or below ``path``, sorted; hidden folders and virtual environments are left out.

    Raises NothingThere.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise NothingThere(f"there is no {path}. Name a folder or a file: channels-compat check PATH")
    found = sorted(file for file in _below(path) if file.suffix == ".py")
    if not found:
        raise NothingThere(
            f"there is no Python file in {path}. Name the folder that has manage.py or main.py"
        )
    return found


def template_files(folder: Path) -> list[Path]:
    """The templates below ``folder``: what lies in folders of that name."""
    found = (file for file in _below(folder) if file.suffix in TEMPLATES)
    return sorted(file for file in found if "templates" in file.relative_to(folder).parts)


def _below(folder: Path) -> Iterator[Path]:
    for here, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not _is_foreign(Path(here, name))]
        yield from (Path(here, name) for name in files)


def _is_foreign(folder: Path) -> bool:
    name = folder.name
    return (
        name.startswith(".")
        or name in SKIPPED
        or name.endswith(".egg-info")
        or (folder / "pyvenv.cfg").exists()
    )


def module_names(files: Sequence[Path], root: Path) -> dict[str, Path]:
    """Dotted name to file, under every name that the file may have.

    That depends on the folder that is on ``sys.path``: the one above the outermost package, or ``root`` (a
    folder without ``__init__.py`` may be a package too), or ``root/src``.
    """
    names: dict[str, Path] = {}
    for file in files:
        for top in (_above_package(file), root, root / "src"):
            if name := _dotted(file, top):
                names.setdefault(name, file)
    return names


def own_names(files: Iterable[Path]) -> dict[Path, str]:
    """File to the name that it is imported by, as a rule: that below its outermost package."""
    return {file: _dotted(file, _above_package(file)) or file.stem for file in files}


def name_below(file: Path, root: Path) -> str:
    """The name of a file that counts on ``root``: folders without ``__init__.py`` are packages then too."""
    return _dotted(file, root) or file.stem


def _above_package(file: Path) -> Path:
    folder = file.parent
    while (folder / "__init__.py").exists() and folder.parent != folder:
        folder = folder.parent
    return folder


def _dotted(file: Path, top: Path) -> str:
    try:
        parts = file.relative_to(top).with_suffix("").parts
    except ValueError:
        return ""
    if parts[-1] == "__init__":
        parts = parts[:-1]
    return ".".join(parts) if all(part.isidentifier() for part in parts) else ""
