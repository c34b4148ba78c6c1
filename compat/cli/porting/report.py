"""The report about a project as text, as JSON, or as annotations for GitHub."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from compat.cli.porting.findings import FileReport, Finding, Report
from compat.cli.porting.judge import DjangoNames, Kind
from compat.cli.printable import printable

__all__ = ["ERRORS", "EXIT_CODES", "as_github", "as_json", "as_text", "exit_code", "severity", "summary"]

ERRORS = {Kind.django, Kind.gone, Kind.broken}
WARNINGS = {Kind.port, Kind.unknown, Kind.warned}
EXIT_CODES = {"note": 0, "warning": 3, "error": 4}

COLOURS = {"note": "green", "warning": "yellow", "error": "red"}
LABELS = {
    Kind.runs: "runs",
    Kind.warned: "warning",
    Kind.port: "port rewrites",
    Kind.unknown: "not tried",
    Kind.gone: "by hand",
    Kind.django: "needs Django",
    Kind.broken: "not Python",
}
SUMMARIES = {
    Kind.port: ("is rewritten by port", "are rewritten by port"),
    Kind.django: ("needs Django", "need Django"),
    Kind.gone: ("needs a change by hand", "need a change by hand"),
    Kind.warned: ("runs with a warning", "run with a warning"),
    Kind.unknown: ("could not be tried", "could not be tried"),
    Kind.broken: ("cannot be read", "cannot be read"),
}

Paint = Callable[..., str]


def severity(kind: Kind) -> str:
    """Return "note", "warning" or "error"."""
    if kind in ERRORS:
        return "error"
    return "warning" if kind in WARNINGS else "note"


def exit_code(report: Report) -> int:
    """Return 0 if every file runs unchanged, 3 for warnings, 4 for errors."""
    return max((EXIT_CODES[severity(one.status)] for one in report.files), default=0)


def summary(report: Report) -> str:
    """Return the summary: "41 of 44 files run unchanged; 3 need Django"."""
    total = len(report.files)
    parts = [f"{report.count(Kind.runs)} of {total} file{'s' * (total != 1)} run unchanged"]
    for kind, (one, several) in SUMMARIES.items():
        count = report.count(kind)
        if count:
            parts.append(f"{count} {one if count == 1 else several}")
    return "; ".join(parts)


def shown(path: Path, report: Report) -> str:
    """Return ``path`` relative to the folder of the report."""
    return path.relative_to(report.root).as_posix()


def as_text(report: Report, paint: Paint, everything: bool = True) -> Iterator[str]:
    """Yield the lines of the report.

    ``paint(text, fg=colour, ...)`` colours a text, as ``typer.style`` does. ``everything``: also references
    that work unchanged.
    """
    for one in report.files:
        findings = [each for each in one.findings if everything or each.kind is not Kind.runs]
        if not findings:
            continue
        yield paint(printable(shown(one.path, report)), bold=True) + f"  {LABELS[one.status]}"
        width = max(len(str(each.line)) for each in findings)
        for each in findings:
            label = paint(f"{LABELS[each.kind]:>13}", fg=COLOURS[severity(each.kind)])
            yield f"  {each.line:>{width}}  {label}  {printable(each.message)}"
        yield ""
    whose = "on the real Django" if report.django is DjangoNames.keep else "without Django"
    yield paint(summary(report), bold=True) + f" ({whose})"


def as_json(report: Report) -> str:
    """Return the report as a JSON object: ``summary``, ``counts`` by kind, ``django``, and ``files`` with
    findings.
    """
    document: dict[str, Any] = {
        "summary": summary(report),
        "django": report.django.value,
        "counts": {kind.value: report.count(kind) for kind in Kind},
        "lines": report.lines,
        "seconds": round(report.seconds, 2),
        "files": [_file(one, report) for one in report.files],
    }
    return json.dumps(document, indent=2)


def _file(one: FileReport, report: Report) -> dict[str, Any]:
    return {
        "path": shown(one.path, report),
        "module": one.module,
        "status": one.status.value,
        "findings": [
            {
                "line": each.line,
                "severity": severity(each.kind),
                "kind": each.kind.value,
                "message": each.message,
            }
            for each in one.findings
        ],
    }


def as_github(report: Report, prefix: str = "") -> Iterator[str]:
    """Yield workflow commands, which GitHub shows beside the lines; ``prefix`` is the path of the folder."""
    for one in report.files:
        for each in one.findings:
            if each.kind is not Kind.runs:
                yield _annotation(one, each, prefix + shown(one.path, report))
    yield f"::notice title=channels-compat::{_escaped(summary(report))}"


def _annotation(one: FileReport, each: Finding, path: str) -> str:
    level = severity(each.kind)
    name = _escaped(path).replace(":", "%3A").replace(",", "%2C")
    return f"::{level} file={name},line={each.line},title={LABELS[each.kind]}::{_escaped(each.message)}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
