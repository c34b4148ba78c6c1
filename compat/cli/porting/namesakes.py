"""Projects that use another library of the same name: their imports of that name stay.

from fastapi_channels import ConnectionManager   the library whose names compat.manager has
from fastapi_channels import add_channel         the package index's, which is another project
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from compat.cli.moves import MODULES, NAMESAKES
from compat.cli.porting.records import References
from compat.cli.porting.words import package_of

__all__ = ["Namesake", "namesakes", "without"]


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


def without(references: References, packages: Container[str]) -> References:
    """Return the references of a file without uses and strings of ``packages``; its imports stay."""
    return references._replace(
        uses=tuple(use for use in references.uses if use.path.partition(".")[0] not in packages),
        texts=tuple(text for text in references.texts if (package_of(text) or "") not in packages),
    )
