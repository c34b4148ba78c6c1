"""``django-shim stubs``: make the names that the shim serves visible to type checkers and editors.

The mirrors are plain files with ``if TYPE_CHECKING: from compat.… import *``, so mypy and pyright need the
same folder that the finder serves at run time; the command prints that configuration. ``--write`` writes the
same names into a folder of the project instead, which can be committed and contains no path of a machine.
pyright and Pylance search ``typings`` by default, mypy if ``mypy_path`` names it.

The folder has ``.py`` files, because pyright warns about a stub without a source. None of them is imported at
run time. Stub packages in the wheel would need no command, but would overwrite those of ``types-channels``.
"""

from __future__ import annotations

import ast
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from django_shim.finder import HERE, PACKAGES, real_spec

__all__ = ["configuration", "main", "write"]

USAGE = "usage: django-shim stubs [--write [FOLDER]]"
MARK = "# Written by 'django-shim stubs --write', for type checkers; nothing is imported from here.\n"


def main(arguments: Sequence[str]) -> int:
    """Print the configuration, or write the folder (default: ``typings``); return the exit code."""
    if not arguments:
        print(configuration())
        return 0
    if arguments[0] != "--write" or len(arguments) > 2:
        print(USAGE, file=sys.stderr)
        return 2
    folder = Path(arguments[1] if len(arguments) == 2 else "typings")
    foreign = [package for package in _packages() if _is_foreign(folder / package.name)]
    if foreign:
        names = ", ".join(str(folder / package.name) for package in foreign)
        print(
            f"django-shim: {names} is there already, and not by this command; move it away", file=sys.stderr
        )
        return 1
    for package in write(folder):
        print(f"wrote {package}")
    setting = "" if folder.name == "typings" else f" by stubPath = '{folder}' in [tool.pyright]"
    print(f"pyright and Pylance find them{setting}")
    print(f"mypy finds them by mypy_path = '{folder}' in [tool.mypy] of pyproject.toml")
    return 0


def configuration() -> str:
    """Return lines for pyproject.toml; without Django they also name the subset."""
    folders = [PACKAGES] if real_spec("django") else [PACKAGES, HERE]
    return "\n".join(
        [
            "[tool.mypy]",
            f"mypy_path = {_strings(folders)}",
            "",
            "[tool.pyright]",
            f"stubPath = {_string(PACKAGES)}",
            *([f"extraPaths = {_strings(folders[1:])}"] if folders[1:] else []),
        ]
    )


def write(folder: Path) -> Iterator[Path]:
    """Write every package that the shim serves below ``folder``, and yield the folder of each.

    Without Django the subset is one of them.
    """
    for package in _packages():
        target = folder / package.name
        shutil.rmtree(target, ignore_errors=True)
        for source in sorted(package.rglob("*.py")):
            path = target / source.relative_to(package)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(MARK + _names_of(source.read_text(encoding="utf-8")), encoding="utf-8")
        yield target


def _packages() -> list[Path]:
    served = sorted(path.parent for path in Path(PACKAGES).glob("*/__init__.py"))
    return served if real_spec("django") else [*served, Path(HERE, "django")]


def _is_foreign(package: Path) -> bool:
    """Return True for a package that this command has not written."""
    first = package / "__init__.py"
    if not package.exists():
        return False
    return not (first.is_file() and first.read_text(encoding="utf-8").startswith(MARK))


def _names_of(source: str) -> str:
    """Return the part of a mirror for type checkers; any other module unchanged."""
    tree = ast.parse(source)
    if not any(_calls_mirror(node) for node in tree.body):
        return source
    shown = []
    for node in tree.body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            shown += node.body
        elif not _calls_mirror(node) and not isinstance(node, ast.ImportFrom):
            shown.append(node)
    return "\n".join(ast.unparse(node) for node in shown) + "\n"


def _calls_mirror(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and ast.unparse(node.value).startswith("mirror(")


def _strings(folders: list[str]) -> str:
    return f"[{', '.join(map(_string, folders))}]"


def _string(folder: str | os.PathLike[str]) -> str:
    return f"'{folder}'"  # a literal TOML string: backslashes of Windows stay what they are
