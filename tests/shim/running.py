"""Code run in an interpreter of its own, where the shim may change what imports find."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.support.environments import Environment

__all__ = ["SHIMMED", "run_code", "write"]

SHIMMED = {"DJANGO_SHIM": "1"}


def run_code(
    env: Environment, code: str, cwd: Path, variables: Mapping[str, str] = SHIMMED, *options: str
) -> str:
    """What ``code`` prints; AssertionError with its traceback if it fails."""
    done = env.run("python", *options, "-c", code, cwd=cwd, env=variables)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def write(folder: Path, **files: str) -> Path:
    """Write modules: ``write(tmp_path, main="…", mysite__settings="…")``; ``__`` stands for a package."""
    for name, text in files.items():
        path = folder.joinpath(*name.split("__")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        for parent in path.relative_to(folder).parents[:-1]:
            (folder / parent / "__init__.py").touch()
        path.write_text(text, encoding="utf-8")
    return folder
