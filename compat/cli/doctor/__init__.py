"""``channels-compat doctor``: what would hurt in production, found before it does, each with its fix.

A check is one function over a ``Subject`` (the application, its settings, its layers, how its server is
started) that yields what it finds; its name is the finding's. They are grouped by what they look at, in the
``…_checks`` modules, and ``CHECKS`` is all of them. To add one: write the function, and add it to the
``CHECKS`` of its module.
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
    *server_checks.CHECKS,
    *package_checks.CHECKS,
)


def diagnose(wanted: Wanted) -> Diagnosis:
    """Import the application, ask its servers, and run every check. Never raises for what it finds."""
    subject = examine(wanted)
    found = [*subject.problems, *findings_of(subject)]
    return Diagnosis(subject, sorted(found, key=lambda finding: -finding.severity))


def findings_of(subject: Subject) -> Iterator[Finding]:
    """What the checks find; one that fails itself is a finding too, and the others go on."""
    for check in CHECKS:
        name = check.__name__.replace("_", "-")
        try:
            for finding in check(subject):
                yield replace(finding, check=name)
        except Exception as error:  # noqa: BLE001 - the application is anybody's, and so is what it raises
            text = f"this check failed itself: {type(error).__name__}: {error}"
            failed = warning(text, "The others have run. Please report it, with the message.")
            yield replace(failed, check=name)
