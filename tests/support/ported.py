"""The acceptance apps of other libraries, with nothing but their import lines rewritten by the table."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from compat.cli.moves import moved_module, moved_name
from tests.support.paths import acceptance_material

__all__ = ["app_of_the_seeds", "rewritten"]

FROM = re.compile(
    r"^(\s*)from (?P<module>[a-z_]\w*(?:\.\w+)*) import (?P<names>\([^)]*\)|[^\n]*)", re.MULTILINE
)


def rewritten(source: str) -> str:
    """`source` with each `from … import …` of a library that the table knows pointing at ours."""
    return FROM.sub(_import, source)


def _import(match: re.Match[str]) -> str:
    module, names = match["module"], match["names"]
    if moved_module(module) is None:
        return match.group()
    wanted = [name.strip() for name in names.strip("()").split(",") if name.strip()]
    lines: dict[str, list[str]] = {}
    for one in wanted:
        name, _, alias = one.partition(" as ")
        target = moved_name(module, name)
        assert target is not None, f"{module}.{name} is not in the table"
        spelled = target.name if target.name == name and not alias else f"{target.name} as {alias or name}"
        lines.setdefault(target.module, []).append(spelled)
    return "\n".join(f"{match[1]}from {target} import {', '.join(names)}" for target, names in lines.items())


def app_of_the_seeds(name: str, destination: Path) -> Path:
    """A copy of acceptance/apps/<name> at `destination`, its imports rewritten."""
    shutil.copytree(acceptance_material() / "acceptance" / "apps" / name, destination)
    for path in destination.rglob("*.py"):
        path.write_text(rewritten(path.read_text(encoding="utf-8")), encoding="utf-8")
    return destination
