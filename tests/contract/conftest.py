"""Each test of the contract runs over every kind of layer that can keep it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from tests.support.layers import KINDS, Kind, make_layer

ASKS = ("stores", "serializes", "ours")
QUICK = ("memory", "pubsub", "queue")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "layers(ask=bool, …): the kinds of layers that a test of the contract is for"
    )
    config.addinivalue_line("markers", f"quick_kinds: slow for all kinds but {', '.join(QUICK)}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        kind = getattr(item, "callspec", None) and item.callspec.params.get("kind")  # type: ignore[attr-defined]
        if isinstance(kind, Kind) and kind.name not in QUICK and item.get_closest_marker("quick_kinds"):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(params=KINDS, ids=str)
def kind(request: pytest.FixtureRequest) -> Kind:
    """The kind of layer; `@pytest.mark.layers(ours=True)` leaves out those that are not."""
    chosen: Kind = request.param
    marker = request.node.get_closest_marker("layers")
    for ask, wanted in (marker.kwargs if marker else {}).items():
        assert ask in ASKS
        if getattr(chosen, ask) is not wanted:
            pytest.skip(f"{chosen.name}: {ask} is {not wanted}")
    return chosen


@pytest_asyncio.fixture
async def make(kind: Kind, redis_url: str) -> AsyncIterator[Callable[..., Any]]:
    """Makes layers with options; several with one `prefix` are processes of one fleet."""
    made: list[Any] = []

    def factory(**options: Any) -> Any:
        made.append(make_layer(kind, redis_url, **options))
        return made[-1]

    yield factory
    for layer in made:
        await layer.flush()


@pytest.fixture
def layer(make: Callable[..., Any]) -> Any:
    """A layer with its default options."""
    return make()
