"""A check that the work tree of git is clean, so that a port is not mixed with other changes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from compat.exceptions import CompatError

__all__ = ["Dirty", "refuse_dirty", "uncommitted"]


class Dirty(CompatError):
    """The work tree has changes that are not committed."""


WITHIN_S = 30
"""The time limit of git."""

OPTIONS = {
    "core.fsmonitor": "false",
    "core.hooksPath": os.devnull,
    "safe.bareRepository": "explicit",
    "status.submoduleSummary": "false",
}
"""Options that keep git from running a program that the repository's configuration names."""


def uncommitted(folder: Path) -> list[str]:
    """Return the files below ``folder`` that differ from the last commit, and untracked Python files; not
    those of repositories inside.

    Returns [] without a repository or without git. Raises Dirty if git fails.
    """
    try:
        filters = _git(folder, {}, "config", "--null", "--name-only", "--get-regexp", r"^filter\.")
        options = OPTIONS | dict.fromkeys(filter(_runs_a_program, filters.stdout.split("\0")), "")
        command = ("--porcelain", "-z", "--no-renames", "--untracked-files=all", "--ignore-submodules=all")
        done = _git(folder, options, "status", *command, "--", ".")
    except FileNotFoundError:
        return []  # git is not installed
    except subprocess.TimeoutExpired as error:
        text = f"git has not answered within {WITHIN_S} s in {folder}. Add --force to skip this check"
        raise Dirty(text) from error
    if done.returncode:
        if "not a git repository" in done.stderr or "must be run in a work tree" in done.stderr:
            return []
        said = done.stderr.strip().partition("\n")[0]
        raise Dirty(
            f"git cannot compare {folder} with its last commit: {said}. Add --force to skip this check"
        )
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
    """Return the environment for git: without variables of git, and with ``options``, which precede the
    repository's.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    for number, (name, value) in enumerate(options.items()):
        environment[f"GIT_CONFIG_KEY_{number}"] = name
        environment[f"GIT_CONFIG_VALUE_{number}"] = value
    return environment | {
        "GIT_CONFIG_COUNT": str(len(options)),
        "GIT_OPTIONAL_LOCKS": "0",  # git does not write the index, so it runs no hook
        "GIT_ALLOW_PROTOCOL": "none",  # git fetches no objects, for which the repository could name a program
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
    }


def refuse_dirty(folder: Path, files: Iterable[Path]) -> None:
    """Raise Dirty if ``folder``, or a repository inside that has some of ``files``, has uncommitted changes.

    git itself does not look into repositories inside: submodules, and those that it ignores.
    """
    inside = {above for file in files for above in file.parents if folder in above.parents}
    changed = uncommitted(folder)
    for top in sorted(one for one in inside if (one / ".git").exists()):
        changed += [f"{top.relative_to(folder).as_posix()}/{name}" for name in uncommitted(top)]
    if changed:
        some = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
        raise Dirty(
            f"{folder} has uncommitted changes ({some}), which would be mixed with the port. Commit or stash "
            "them, or add --force"
        )
