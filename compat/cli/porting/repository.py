"""Is there something in the work tree that git has not got, and that a port would be mixed up with?"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from compat.exceptions import CompatError

__all__ = ["Dirty", "refuse_dirty", "uncommitted"]


class Dirty(CompatError):
    """The work tree has changes that are not committed."""


WITHIN_S = 30
"""How long git may take."""

OPTIONS = {
    "core.fsmonitor": "false",
    "core.hooksPath": os.devnull,
    "safe.bareRepository": "explicit",
    "status.submoduleSummary": "false",
}
"""The tree may be anybody's, and so is its .git/config: no program that it names is run."""


def uncommitted(folder: Path) -> list[str]:
    """Return the files below ``folder`` that differ from the last commit, and Python files new to git.

    [] where there is no repository, or no git. Raises Dirty where git fails, since that says nothing.
    """
    try:
        filters = _git(folder, {}, "config", "--null", "--name-only", "--get-regexp", r"^filter\.")
        options = OPTIONS | dict.fromkeys(filter(_runs_a_program, filters.stdout.split("\0")), "")
        command = ("--porcelain", "-z", "--no-renames", "--untracked-files=all", "--ignore-submodules=all")
        done = _git(folder, options, "status", *command, "--", ".")
    except FileNotFoundError:
        return []  # no git: nothing to compare with
    except subprocess.TimeoutExpired as error:
        said = f"git has not answered within {WITHIN_S} s in {folder}"
        raise Dirty(f"{said}. Add --force to do without it") from error
    if done.returncode:
        if "not a git repository" in done.stderr or "must be run in a work tree" in done.stderr:
            return []
        said = done.stderr.strip().partition("\n")[0]
        raise Dirty(f"git cannot compare {folder} with its last commit: {said}. Add --force to do without")
    lines = [line for line in done.stdout.split("\0") if line]
    return [line[3:] for line in lines if not line.startswith("??") or line.endswith(".py")]


def _runs_a_program(option: str) -> bool:
    return option.rpartition(".")[2] in ("clean", "process", "smudge")


def _git(folder: Path, options: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env=_environment(options),
        capture_output=True,
        text=True,
        errors="surrogateescape",
        stdin=subprocess.DEVNULL,
        timeout=WITHIN_S,
        check=False,
    )


def _environment(options: Mapping[str, str]) -> dict[str, str]:
    """This process's, less what is said to git there; ``options`` go before the repository's own."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    for number, (name, value) in enumerate(options.items()):
        environment[f"GIT_CONFIG_KEY_{number}"] = name
        environment[f"GIT_CONFIG_VALUE_{number}"] = value
    return environment | {
        "GIT_CONFIG_COUNT": str(len(options)),
        "GIT_OPTIONAL_LOCKS": "0",  # the index is not written, and no hook is run after it
        "GIT_ALLOW_PROTOCOL": "none",  # nothing is fetched, for which the repository names a program
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
    }


def refuse_dirty(folder: Path) -> None:
    """Raise Dirty if a port could not be told from what was changed before it."""
    changed = uncommitted(folder)
    if changed:
        some = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
        raise Dirty(
            f"{folder} has changes that are not committed ({some}): the port could not be told from them. "
            "Commit or stash them, or add --force"
        )
