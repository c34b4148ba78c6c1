"""What the development server's reloaders take for a change."""

from __future__ import annotations

import os
from collections.abc import Callable, Set
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from compat.cli.reloading import NotifiedReload, PolledReload, Reload
from tests.support.waiting import until

WATCHING = pytest.mark.parametrize("kind", [NotifiedReload, PolledReload])


def begun(kind: Callable[..., Reload], folder: Path) -> Reload:
    config = uvicorn.Config("main:app", reload=True, reload_dirs=[str(folder)], log_config=None)
    watching = kind(config, print, [])
    watching.begin()
    return watching


def changes(watching: Reload, wanted: Callable[[Set[Path]], bool]) -> Set[Path]:
    found: set[Path] = set()

    def has_come() -> bool:
        found.update(watching.changed())
        return wanted(found)

    until(has_come, "the change")
    return found


def package(folder: Path) -> Path:
    (folder / "part").mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "part" / "inner.py").touch()
    (folder / "part" / ".#inner.py").touch()
    (folder / "data.txt").touch()
    return folder


@WATCHING
def test_a_package_that_is_renamed(kind: Any, tmp_path: Path) -> None:
    """Was, with watchfiles: no change, because only the folder is reported."""
    before, after = package(tmp_path / "pkg"), tmp_path / "pkg_old"
    watching = begun(kind, tmp_path)
    before.rename(after)
    wanted = {after / "__init__.py", after / "part" / "inner.py"}
    assert {path.name for path in changes(watching, wanted.issubset)} == {"__init__.py", "inner.py"}


@WATCHING
def test_a_package_that_is_moved_here(kind: Any, tmp_path: Path) -> None:
    here, elsewhere = tmp_path / "here", package(tmp_path / "elsewhere")
    here.mkdir()
    watching = begun(kind, here)
    elsewhere.rename(here / "pkg")
    wanted = {here / "pkg" / "__init__.py", here / "pkg" / "part" / "inner.py"}
    assert changes(watching, wanted.issubset) == wanted


@WATCHING
def test_files_of_other_kinds_and_hidden_ones(kind: Any, tmp_path: Path) -> None:
    watching = begun(kind, package(tmp_path / "pkg"))
    for name in ("data.txt", ".#main.py", "new.txt", "main.py"):
        (tmp_path / "pkg" / name).write_text("changed")
    main = tmp_path / "pkg" / "main.py"
    assert changes(watching, lambda found: main in found) == {main}


def test_a_folder_that_vanishes_while_it_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Was: FileNotFoundError, and the end of the watch."""
    watching = begun(PolledReload, tmp_path)
    gone, scandir = tmp_path / "a_gone", os.scandir
    gone.mkdir()
    (tmp_path / "main.py").touch()

    def late(path: Any = ".") -> Any:
        if os.fspath(path) == str(gone):
            gone.rmdir()
        return scandir(path)

    monkeypatch.setattr(os, "scandir", late)
    assert watching.changed() == {tmp_path / "main.py"}
    assert not gone.exists()
