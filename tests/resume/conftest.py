"""Links that a test leaves open end with it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.resuming import end_links


@pytest.fixture(autouse=True)
async def links_end() -> AsyncIterator[None]:
    yield
    await end_links()
