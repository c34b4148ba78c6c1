"""Projects that use another library of the same name, or have a package of that name: such imports stay.

from fastapi_channels import ConnectionManager   the library whose names compat.manager has
from fastapi_channels import add_channel         the package index's, which is another project
from channels.worker import Worker               the project's own, if it has channels/worker.py
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from compat.advice.callers import in_installed_folder
from compat.cli.moves import LIBRARIES, MODULES, NAMESAKES
from compat.cli.porting.records import Import, References
from compat.cli.porting.sources import tops
from compat.cli.porting.words import package_of

__all__ = ["Namesake", "namesakes", "own_packages", "without"]


class Namesake(NamedTuple):
    """A place that shows that ``package`` is the other library of that name, and what ``port`` does then."""

    file: Path
    line: int
    package: str
    why: str


def namesakes(files: Mapping[Path, References]) -> dict[str, Namesake]:
    """Return the packages of a project whose name is that of a library of the table, each with the first
    place that shows it.
    """
    found: dict[str, Namesake] = {}
    for file, references in files.items():
        for line, path in sorted(_paths(references)):
            package, _, rest = path.partition(".")
            if package not in found and (name := _only_of(package, rest)):
                found[package] = Namesake(file, line, package, _why(package, name))
    return found


def _paths(references: References) -> Iterator[tuple[int, str]]:
    """Yield the dotted paths that a file imports, uses or has in its strings, with their lines."""
    for one in references.imports:
        if not one.level:
            yield one.line, f"{one.module}.{one.name}" if one.name else one.module
    yield from ((use.line, use.path) for use in references.uses)
    yield from ((text.line, text.value) for text in references.texts)


def _only_of(package: str, rest: str) -> str | None:
    """Return the name below ``package`` that only the other library has, if ``rest`` is that or below it."""
    parts = rest.split(".")
    beginnings: Iterable[str] = (".".join(parts[:end]) for end in range(1, len(parts) + 1))
    return next((name for name in beginnings if name in NAMESAKES.get(package, ())), None)


def _why(package: str, name: str) -> str:
    return (
        f"all imports of {package} are left: {package}.{name} is of the library of that name on the package "
        f"index, which is not the one whose names {MODULES[package]} has"
    )


def own_packages(file: Path, root: Path, references: Callable[[], References]) -> set[str]:
    """Return the libraries of the table whose names ``file`` imports from the project itself.

    ``references`` returns those of the file, and is called if they matter. A package that lacks something
    that the file imports is not meant: its folder is not on ``sys.path``.
    """
    read = cache(references)
    tried = [top for top in dict.fromkeys(tops(file, root)) if not in_installed_folder(str(top))]
    return {package for package in LIBRARIES for top in tried if _is_own(top, package, read)}


def _is_own(top: Path, package: str, references: Callable[[], References]) -> bool:
    is_module = _module(top, package) is not None
    if not is_module and not (top / package).is_dir():
        return False
    found = references()
    imports = [one for one in found.imports if not one.level and one.module.partition(".")[0] == package]
    if not all(_has(top, one) for one in imports):
        return False
    # A folder without __init__.py hides no installed package, so it has to have what the file names.
    return is_module or _has_one_below(top, package, (path for _, path in _paths(found)))


def _has(top: Path, one: Import) -> bool:
    """Return True if a file below ``top`` is what ``one`` imports."""
    return any(_module(top, path) for path in (one.module, f"{one.module}.{one.name}"))


def _module(top: Path, path: str) -> Path | None:
    base = top.joinpath(*path.split("."))
    files = (base / "__init__.py", base.parent / f"{base.name}.py")
    return next((file for file in files if file.is_file()), None)


def _has_one_below(top: Path, package: str, paths: Iterable[str]) -> bool:
    below = (path.split(".") for path in paths if path.startswith(f"{package}."))
    modules = (".".join(parts[:end]) for parts in below for end in range(2, len(parts) + 1))
    return any(_module(top, module) for module in modules)


def without(references: References, packages: Container[str]) -> References:
    """Return the references of a file without uses and strings of ``packages``; its imports stay."""
    return references._replace(
        uses=tuple(use for use in references.uses if use.path.partition(".")[0] not in packages),
        texts=tuple(text for text in references.texts if (package_of(text) or "") not in packages),
    )
