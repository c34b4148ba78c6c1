"""Django templates: find tags, filters and libraries that the template engine of the subset lacks.

Only tags and filters that are Django's own, and libraries, are reported. ``port`` does not change templates.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Set

from compat.cli.porting.judge import Kind, Verdict
from compat.cli.porting.served import served

__all__ = ["judge_template"]

PIECE = re.compile(r"\{%\s*(?P<tag>\w+)\b(?P<rest>[^%}]*)%\}|\{\{(?P<value>(?:(?!\{\{).)*?)\}\}")
"""The time grows linearly with the length of the line, because no opening is searched beyond the next one."""
FILTER = re.compile(r"\|\s*(\w+)")
SERVED_LIBRARIES = {"static"}


def judge_template(text: str, libraries: Set[str]) -> Iterator[tuple[int, Verdict]]:
    """Yield line and verdict of each name that needs Django or was not tried. ``libraries``: those of the
    project.
    """
    for number, line in enumerate(text.splitlines(), 1):
        for piece in PIECE.finditer(line):
            for verdict in _of_piece(piece, libraries):
                yield number, verdict


def _of_piece(piece: re.Match[str], libraries: Set[str]) -> Iterator[Verdict]:
    refused = served().templates
    tag, rest = piece["tag"], piece["rest"] or piece["value"] or ""
    if tag == "load":
        yield from _of_load(rest.split(), libraries)
        return
    if tag in refused["tags"]:
        yield _needs_django(f"the template tag {tag!r}")
    for name in FILTER.findall(rest):
        if name in refused["filters"]:
            yield _needs_django(f"the template filter {name!r}")


def _of_load(words: list[str], libraries: Set[str]) -> Iterator[Verdict]:
    names = words[-1:] if len(words) > 2 and words[-2] == "from" else words
    for name in names:
        if name in served().templates["libraries"]:
            yield _needs_django(f"the template library {name!r}")
        elif name not in SERVED_LIBRARIES and name not in libraries:
            yield Verdict(Kind.unknown, f"the template library {name!r} is not in this project")


def _needs_django(what: str) -> Verdict:
    return Verdict(Kind.django, f"{what} needs Django: keep Django installed, or write a tag of your own")
