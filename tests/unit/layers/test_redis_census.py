"""Who is in a group, as a process knows it while its Redis is away."""

from __future__ import annotations

from typing import Any

import pytest

from compat.exceptions import LayerUnavailable
from compat.layers.redis import RedisChannelLayer
from compat.layers.redis.census import Census
from tests.support.waiting import until_async


@pytest.mark.parametrize("groups", [1, 2, 3])
async def test_names_that_nobody_could_join_are_forgotten_while_redis_is_away(
    groups: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Was: only after the outage, and the names may be a client's."""
    made: list[Census] = []

    def noted(*args: Any) -> Census:
        made.append(Census(*args))
        return made[-1]

    monkeypatch.setattr("compat.layers.redis.membership.Census", noted)
    layer = RedisChannelLayer(hosts=["redis://127.0.0.1:1"], expiry=1)
    channel = await layer.new_channel()
    for number in range(groups):
        with pytest.raises(LayerUnavailable):
            await layer.group_add(f"room{number}", channel)
    (census,) = made
    assert len(census._rolls) == groups
    await until_async(lambda: not census._rolls, "they are forgotten")
    await layer.close_pools()
