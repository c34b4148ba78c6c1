"""The report of the doctor, as text or as JSON."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import compat
from compat.cli.doctor.answers import Answer
from compat.cli.doctor.finding import Finding, Severity
from compat.cli.doctor.subject import Subject
from compat.cli.embedded import layer_state
from compat.consumer import SyncConsumer
from compat.settings import module_name

__all__ = ["Diagnosis", "Line"]

WIDTH = 100
COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "blue"}

EXIT_CODES = {Severity.NOTE: 0, Severity.WARNING: 3, Severity.ERROR: 4}
"""The code 1 is for an error of the command, 2 for a wrong call."""

Line = tuple[str, str | None]
"""A line of the report, and the name of its colour."""


@dataclass(frozen=True)
class Diagnosis:
    """All findings, the most severe first."""

    subject: Subject
    findings: list[Finding]

    @property
    def exit_code(self) -> int:
        """The exit code, as of ``channels-compat check``: 0 without warnings, 3 for a warning, 4 for an
        error.
        """
        return EXIT_CODES[max((finding.severity for finding in self.findings), default=Severity.NOTE)]

    def counts(self) -> dict[str, int]:
        """Return the number of findings of each severity."""
        counted = Counter(finding.severity for finding in self.findings)
        return {severity.name.lower(): counted[severity] for severity in reversed(Severity)}

    def as_json(self) -> str:
        """Return the report as JSON; ``findings`` has the order of the text."""
        report = {
            "version": compat.__version__,
            **{name.lower(): value for name, value in _facts(self.subject)},
            "workers": self.subject.workers,
            "workers_source": self.subject.workers_source,
            "findings": [finding.as_json() for finding in self.findings],
            "counts": self.counts(),
            "exit_code": self.exit_code,
        }
        return json.dumps(report, indent=2)

    def lines(self) -> Iterator[Line]:
        """Yield the lines of the report as text."""
        for name, value in _facts(self.subject):
            for number, one in enumerate(value if isinstance(value, list) else [value]):
                yield f"{'' if number else name:<13}{one}", None
        for finding in self.findings:
            yield "", None
            yield from _lines_of(finding)
        yield "", None
        yield self.summary(), "green" if not self.exit_code else None

    def summary(self) -> str:
        """Return the number of findings of each severity in one line."""
        parts = [
            f"{count} {name}{'' if count == 1 else 's'}" for name, count in self.counts().items() if count
        ]
        return ", ".join(parts) if parts else "No problems found."


def _facts(subject: Subject) -> list[tuple[str, Any]]:
    """Return the names and values of what was examined."""
    layers = [
        f"{layer_state(alias, layer)}"
        f"{_answer_text([answer for answer in subject.answers if answer.alias == alias])}"
        for alias, layer in subject.layers.items()
    ]
    return [
        ("Application", _application_text(subject)),
        ("Settings", module_name() or "no module; the application configures its settings"),
        ("Layers", layers or ["none"]),
        ("Server", [str(command) for command in subject.commands]),
        ("Workers", f"{subject.workers} ({subject.workers_source or 'the default'})"),
    ]


def _application_text(subject: Subject) -> str:
    if subject.app is None:
        return f"{subject.name} (not imported)" if subject.name else "none"
    classes = subject.consumer_classes
    sync = sum(issubclass(cls, SyncConsumer) for cls in classes)
    return (
        f"{subject.name} ({type(subject.app).__name__}; consumers: {len(classes) - sync} async, {sync} sync)"
    )


def _answer_text(answers: list[Answer]) -> str:
    """Return what the servers of a layer have answered, or why some have not."""
    if not any(answer.failure for answer in answers):
        times = (f"{' '.join(['Redis', one.version]).strip()}, {one.ping_s * 1000:.1f} ms" for one in answers)
        return f" ({'; '.join(times)})" if answers else ""
    if len(answers) == 1:
        return f": {answers[0].failure}"
    return ": " + "; ".join(f"{answer.where}: {answer.failure}" for answer in answers if answer.failure)


def _lines_of(finding: Finding) -> Iterator[Line]:
    where = f"  {finding.where}" if finding.where else ""
    yield f"{finding.severity.name.lower():<8} {finding.check}{where}", COLOURS[finding.severity]
    for line in _wrapped(_sentence(finding.text)):
        yield f"         {line}", None
    for number, line in enumerate(_wrapped(finding.fix)):
        yield f"    {'     ' if number else 'fix: '}{line}", None


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH - 9, break_long_words=False, break_on_hyphens=False)
