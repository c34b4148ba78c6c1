"""What was logged, as records, by everything in this process that logs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Records", "recorded"]


class Records(logging.Handler):
    """A handler that keeps the records."""

    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.kept: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name != "websockets.client":  # the test's own, which drops its connection
            self.kept.append(record)

    def messages(self) -> list[str]:
        return [f"{record.name} {record.levelname} {record.getMessage()}" for record in self.kept]


@contextmanager
def recorded(level: int = logging.WARNING) -> Iterator[Records]:
    """Every record of at least `level` that reaches the root logger within the block, from any thread."""
    records = Records(level)
    root = logging.getLogger()
    root.addHandler(records)
    try:
        yield records
    finally:
        root.removeHandler(records)
