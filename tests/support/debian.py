"""Programs out of Debian's packages that are unpacked and not installed, kept in .cache/debian."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.environments import locked
from tests.support.paths import REPO

__all__ = ["program"]

CACHE = REPO / ".cache" / "debian"


def program(package: str, path: str) -> str:
    """The program at ``path`` ("usr/bin/promtool"): that on PATH, else that of the package.

    Skips the test where neither is to be had.
    """
    name = Path(path).name
    if found := shutil.which(name):
        return found
    folder = CACHE / package
    with locked(CACHE / f"{package}.lock"):
        if not (folder / path).exists():
            _unpack(package, folder)
    return str(folder / path)


def _unpack(package: str, folder: Path) -> None:
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        pytest.skip(f"needs {package}, on PATH or as a package of Debian")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    fetched = subprocess.run(
        ["apt-get", "--quiet", "download", package], cwd=folder, capture_output=True, text=True, check=False
    )
    if fetched.returncode != 0:
        pytest.skip(f"apt-get cannot download {package}: {fetched.stderr[-300:]}")
    (file,) = folder.glob("*.deb")
    subprocess.run(["dpkg-deb", "--extract", file.name, "."], cwd=folder, check=True, capture_output=True)
    file.unlink()
