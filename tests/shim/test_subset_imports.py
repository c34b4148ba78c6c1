"""How the subset's modules import each other, because threads may import several of them at once."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import REPO

SUBSET = REPO / "django_shim" / "django"
MODULES = sorted(SUBSET.rglob("*.py"))


def imported(path: Path) -> Iterator[Path]:
    """The modules of the subset from which ``path`` imports names while it is loaded, by their files."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.level and node.module:
            folder = path.parents[node.level - 1].joinpath(*node.module.split("."))
            yield folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SUBSET)))
def test_what_a_package_loads_is_imported_from_it(path: Path) -> None:
    """Python locks a module before its package, and who loads the package then fails to get the module.

    Another import of the package, which comes first, does as well.
    """
    packages = {other: other.with_name("__init__.py") for other in imported(path)}
    wrong = [
        str(other)
        for other, package in packages.items()
        if package.parent not in path.parents and package not in packages and other in set(imported(package))
    ]
    assert not wrong, f"import from the package, which loads it: {wrong}"
