"""``channels-compat doctor``: find what would fail in production, with a fix for each finding.

A check is a function that takes a ``Subject`` (the application, its settings, its layers and its server
commands) and yields findings; the function's name is the name of the check. The ``…_checks`` modules group
the checks by what they examine. To add a check, write the function and add it to ``CHECKS`` of its module.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from compat.cli.doctor import (
    application_checks,
    consumer_checks,
    layer_checks,
    package_checks,
    redis_checks,
    resume_checks,
    server_checks,
)
from compat.cli.doctor.finding import Finding, Severity, warning
from compat.cli.doctor.report import Diagnosis
from compat.cli.doctor.subject import Subject, Wanted, examine

__all__ = ["CHECKS", "Diagnosis", "Finding", "Severity", "Subject", "Wanted", "diagnose", "findings_of"]

CHECKS = (
    *application_checks.CHECKS,
    *consumer_checks.CHECKS,
    *layer_checks.CHECKS,
    *redis_checks.CHECKS,
    *resume_checks.CHECKS,
    *server_checks.CHECKS,
    *package_checks.CHECKS,
)


def diagnose(wanted: Wanted) -> Diagnosis:
    """Import the application, ask its servers, and run every check. Problems become findings, not errors."""
    subject = examine(wanted)
    found = [*subject.problems, *findings_of(subject)]
    return Diagnosis(subject, sorted(found, key=lambda finding: -finding.severity))


def findings_of(subject: Subject) -> Iterator[Finding]:
    """Yield the findings of every check. A check that fails yields a finding, and the next one runs."""
    wrong: list[str] = []
    """What is wrong about the settings: a check that fails because of that says nothing new."""
    for check in CHECKS:
        name = check.__name__.replace("_", "-")
        try:
            for finding in check(subject):
                if check is application_checks.settings_wrong:
                    wrong.append(finding.text)
                yield replace(finding, check=name)
        except Exception as error:  # noqa: BLE001 - foreign code may raise any error
            if str(error) in wrong:
                continue
            text = f"this check failed: {type(error).__name__}: {error}"
            fix = "Correct the settings first." if wrong else "Please report this message."
            yield replace(warning(text, f"The other checks have run. {fix}"), check=name)
