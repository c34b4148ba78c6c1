"""Is there something in the work tree that git has not got, and that a port would be mixed up with?"""

from __future__ import annotations

import subprocess
from pathlib import Path

from compat.exceptions import CompatError

__all__ = ["Dirty", "refuse_dirty", "uncommitted"]


class Dirty(CompatError):
    """The work tree has changes that are not committed."""


def uncommitted(folder: Path) -> list[str]:
    """Files below ``folder`` that differ from the last commit, and Python files that git does not know.

    [] where there is no repository.
    """
    command = ["git", "status", "--porcelain", "--untracked-files=all", "--", "."]
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
        )
    except FileNotFoundError:
        return []  # no git: nothing to compare with
    if done.returncode:
        return []
    lines = done.stdout.splitlines()
    return [line[3:] for line in lines if not line.startswith("??") or line.rstrip('"').endswith(".py")]


def refuse_dirty(folder: Path) -> None:
    """Raise Dirty if a port could not be told from what was changed before it."""
    changed = uncommitted(folder)
    if changed:
        some = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
        raise Dirty(
            f"{folder} has changes that are not committed ({some}): the port could not be told from them. "
            "Commit or stash them, or add --force"
        )
