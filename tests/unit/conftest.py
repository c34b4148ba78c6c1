"""A clean process for every unit test: an in-memory layer under "default", and nothing else configured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from compat.layers import InMemoryChannelLayer, register_channel_layer, unregister_channel_layer


@pytest.fixture
def layer() -> Iterator[InMemoryChannelLayer]:
    """The layer that consumers of this test use."""
    layer = InMemoryChannelLayer()
    register_channel_layer("default", layer)
    yield layer
    unregister_channel_layer("default")


@pytest.fixture(params=["async", "sync", "one thread"])
def flavour(request: pytest.FixtureRequest) -> Any:
    """The three ways in which a consumer may run."""
    return request.param
