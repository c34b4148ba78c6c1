"""Key names and shards: the strings that a fleet with real channels_redis processes agrees on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compat.layers.redis.keys import Keys, lease_of, shard_of


@pytest.mark.parametrize(
    ("name", "ring_size", "shard"),
    [
        *(("key_one", 1, 0), ("key_one", 2, 1), ("key_two", 2, 0), ("key_one", 10, 6), ("key_two", 10, 4)),
        *(("grp", 3, 2), ("a", 3, 2), ("b", 3, 2), (b"key_one", 2, 1)),
    ],
)
def test_shards_are_channels_redis(name: str, ring_size: int, shard: int) -> None:
    assert shard_of(name, ring_size) == shard


@given(st.text(), st.integers(1, 64))
def test_every_name_has_a_shard(name: str, ring_size: int) -> None:
    assert 0 <= shard_of(name, ring_size) < ring_size


def test_names_on_redis() -> None:
    keys = Keys("asgi", 1)
    assert keys.queue("plain") == "asgiplain"
    assert keys.queue("specific.abc!def") == "asgispecific.abc!"
    assert keys.inflight("asgiplain") == "asgiplain$inflight"
    assert keys.group("chat_lobby") == "asgi:group:chat_lobby"
    assert keys.topic("chat_lobby") == "asgi__group__chat_lobby"


@given(st.from_regex(r"[a-z]{1,5}\.[0-9a-f]{32}![0-9a-f]{32}", fullmatch=True), st.integers(1, 16))
def test_a_direct_message_goes_where_its_reader_listens(channel: str, ring_size: int) -> None:
    queue = channel[: channel.index("!") + 1]
    keys = Keys("asgi", ring_size)
    assert keys.queue_shard(channel) == keys.queue_shard(queue) == shard_of(queue, ring_size)


def test_the_lease_in_a_channels_name() -> None:
    assert lease_of("specific.abc!def") == "abc"
    assert lease_of("specific..inmemory!def") == "inmemory"
    assert lease_of("plain.name") == ""
