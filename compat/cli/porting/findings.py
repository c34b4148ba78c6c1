"""What ``check`` has found: in a file, and in a project."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from compat.cli.porting.judge import DjangoNames, Kind

__all__ = ["ORDER", "FileReport", "Finding", "Report"]

ORDER = list(Kind)


class Finding(NamedTuple):
    """A verdict with its line."""

    line: int
    kind: Kind
    message: str


@dataclass
class FileReport:
    """The report about a file; ``module`` is the name that it is imported by, "" for a template."""

    path: Path
    module: str
    findings: list[Finding] = field(default_factory=list)

    @property
    def status(self) -> Kind:
        return max((finding.kind for finding in self.findings), key=ORDER.index, default=Kind.runs)

    def sort(self) -> None:
        """Put the findings in the order of their lines, each once."""
        self.findings = sorted(set(self.findings))


@dataclass
class Report:
    """The report about a project; ``seconds`` is the time of the analysis, ``lines`` the size of the
    project.
    """

    root: Path
    django: DjangoNames
    files: list[FileReport]
    lines: int
    seconds: float

    def count(self, kind: Kind) -> int:
        return sum(report.status is kind for report in self.files)
