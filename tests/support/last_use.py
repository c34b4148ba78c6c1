"""End what tests of several modules share after the last of them, and not at the end of the run.

pytest ends a fixture of the whole session when the session ends. Until then some forty idle servers of the
seeds and of the parity tests would each take a hundredth of a core from the tests that follow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import pytest

__all__ = ["LastUses", "last_uses"]


class LastUses:
    """The last test of each fixture, and what ends after it."""

    def __init__(self) -> None:
        self._last: dict[str, pytest.Item] = {}
        self._open: dict[str, ExitStack] = {}

    def find(self, items: Sequence[pytest.Item]) -> None:
        """Note which of the tests that will run is the last one of each fixture."""
        for item in items:
            self._last.update(dict.fromkeys(getattr(item, "fixturenames", ()), item))

    @contextmanager
    def until_last(self, request: pytest.FixtureRequest) -> Iterator[ExitStack]:
        """A stack that is closed after the last test of the fixture that calls this, or with the block."""
        name = request.fixturename
        assert name is not None
        with ExitStack() as stack:
            self._open[name] = stack
            yield stack

    def over(self, item: pytest.Item) -> None:
        """Close the stacks of the fixtures whose last test this was."""
        for name in [name for name in self._open if self._last.get(name) is item]:
            self._open.pop(name).close()


last_uses = LastUses()
