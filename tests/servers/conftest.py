"""What modules share whose servers run ``tests.resume.app``; each has a fixture ``running`` of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.resume.place import Place


@pytest.fixture
def place(running: Place) -> Iterator[Place]:
    """The server that the tests share, which has not failed at their end."""
    yield running
    running.no_failure()


@pytest.fixture(params=["async", "sync"])
def flavour(request: pytest.FixtureRequest) -> str:
    return str(request.param)
