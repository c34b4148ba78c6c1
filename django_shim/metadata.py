"""Distribution metadata for the names that the shim serves; imported only when metadata is needed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from importlib.metadata import Distribution, DistributionFinder, MetadataPathFinder

from django_shim.finder import PACKAGES

__all__ = ["VERSIONS", "MirroredDistribution", "find"]

VERSIONS = {"channels": "4.3.2", "channels-redis": "4.3.0", "daphne": "4.2.3"}
"""The releases whose API each mirror follows."""


class MirroredDistribution(Distribution):
    """One served name as a distribution without files."""

    def __init__(self, name: str) -> None:
        self._name = name

    def read_text(self, filename: str) -> str | None:
        """Return the text of ``METADATA``, or None for any other file (RECORD, entry points)."""
        if filename != "METADATA":
            return None
        return (
            f"Metadata-Version: 2.1\nName: {self._name}\nVersion: {VERSIONS[self._name]}\n"
            "Summary: Served by channels-compat\n"
        )

    def locate_file(self, path: str | os.PathLike[str]) -> os.PathLike[str]:  # type: ignore[override]
        """Return the path of a file below the folder of mirrors."""
        from pathlib import Path

        return Path(PACKAGES, path)


def find(context: DistributionFinder.Context | None) -> Iterator[Distribution]:
    """Yield the served distributions that ``context`` asks for and that are not really installed.

    A context with its own path (pip uses one) looks into one folder, where the shim has no distribution.
    """
    if context is not None and "path" in vars(context):
        return
    wanted = normalised(context.name) if context is not None and context.name else None
    for name in VERSIONS:
        if wanted in (None, name) and not _installed(name):
            yield MirroredDistribution(name)


def normalised(name: str) -> str:
    """Return ``name`` normalized as in PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _installed(name: str) -> bool:
    return any(MetadataPathFinder.find_distributions(DistributionFinder.Context(name=name)))
