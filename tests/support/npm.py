"""Packages of npm without dependencies, kept in .cache."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.support.paths import REPO

__all__ = ["needs_node", "npm_package"]


def needs_node() -> str:
    """The program ``node``; without it the test is skipped."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("this test needs node")
    return node


def npm_package(name: str, version: str) -> Path:
    """The folder of a package; the test is skipped where it is neither in .cache nor to be had from npm."""
    folder = REPO / ".cache" / f"{name}-{version}"
    if not (folder / "package").is_dir():
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip(f"this test needs npm, to get {name}")
        folder.mkdir(parents=True, exist_ok=True)
        command = [npm, "pack", "--silent", f"{name}@{version}"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False)
        if done.returncode:
            pytest.skip(f"npm has no {name} for us: {done.stderr[-300:]}")
        part = folder / "part"
        shutil.rmtree(part, ignore_errors=True)
        with tarfile.open(folder / f"{name}-{version}.tgz") as archive:
            archive.extractall(part, filter="data")
        (part / "package").rename(folder / "package")
    return folder / "package"
