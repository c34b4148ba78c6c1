"""The acceptance apps of other libraries, rewritten by ``channels-compat port`` and by nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import libcst

from compat.cli.port import ported
from compat.cli.porting.judge import DjangoNames
from compat.cli.porting.rewrite import Imports
from compat.cli.porting.sources import sources
from tests.support.paths import acceptance_material

__all__ = ["app_of_the_seeds", "port_files", "rewritten"]


def rewritten(source: str) -> str:
    """`source` with its imports ported."""
    return libcst.parse_module(source).visit(Imports(DjangoNames.shim)).code


def port_files(folder: Path, django: DjangoNames = DjangoNames.shim) -> list[Path]:
    """Port what is in `folder`; the files that changed."""
    changed = []
    before = {path: path.read_bytes() for path in sources(folder).files}
    for path, after in ported(before, django):
        if after != before[path]:
            path.write_bytes(after)
            changed.append(path)
    return changed


def app_of_the_seeds(name: str, destination: Path) -> Path:
    """A copy of acceptance/apps/<name> at `destination`, ported."""
    shutil.copytree(acceptance_material() / "acceptance" / "apps" / name, destination)
    assert port_files(destination)
    return destination
