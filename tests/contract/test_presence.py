"""Who is here, on every layer of ours: rows R1 to R5, with two layers of one prefix as two servers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from compat.engine.inbox import Inbox
from compat.engine.parts import inbox_of
from compat.layers.presence import attendance
from compat.layers.redis import people
from tests.support.layers import Kind, unique_prefix
from tests.support.waiting import until_async, until_awaited

Make = Callable[..., Any]
pytestmark = [pytest.mark.layers(ours=True), pytest.mark.quick_kinds]


class User:
    """A user of Django, as far as presence knows it."""

    def __init__(self, pk: Any, *, is_authenticated: bool = True) -> None:
        self.pk = pk
        self.is_authenticated = is_authenticated


class Tab:
    """A connection, as the engine tells a layer of it."""

    def __init__(self, layer: Any, channel: str, inbox: Inbox) -> None:
        self.layer, self.channel, self.inbox = layer, channel, inbox

    @classmethod
    async def open(cls, layer: Any, user: Any = None, *, hears: bool = False) -> Tab:
        channel, inbox = await layer.new_channel(), inbox_of(asyncio.get_running_loop())
        layer.attach(channel, inbox)
        layer.attend(channel, {"user": user}, hears=hears)
        return cls(layer, channel, inbox)

    async def join(self, group: str = "chat_x") -> Tab:
        await self.layer.group_add(group, self.channel)
        return self

    async def track(self, key: Any, meta: Any = None, group: str = "chat_x") -> Tab:
        await self.layer.track(group, self.channel, key, meta)
        return self

    async def close(self) -> None:
        self.layer.departs(self.channel)
        await self.layer.detach(self.channel)

    def diffs(self) -> list[dict[str, Any]]:
        return [dict(event[1]) for event in self.inbox.events if event[1]["type"] == "presence.diff"]

    def left(self) -> list[str]:
        return [key for diff in self.diffs() for key in diff["leaves"]]

    def joined(self) -> list[str]:
        return [key for diff in self.diffs() for key in diff["joins"]]


@pytest.fixture
def servers(make: Make, kind: Kind) -> Callable[..., list[Any]]:
    """Two servers; in memory there is only one."""

    def start(**options: Any) -> list[Any]:
        if kind.name == "memory":
            return [make(**options)] * 2
        shared = {**options, "prefix": unique_prefix()}
        return [make(**shared), make(**shared)]

    return start


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second of grace instead of five, and leases of three: nobody here waits for the end of one."""
    monkeypatch.setattr(attendance, "GRACE_S", 0.5)
    monkeypatch.setattr(people, "LEASE_S", 3.0)
    monkeypatch.setattr(people, "BEAT_S", 0.2)
    monkeypatch.setattr(people, "CLAIM_MS", 1000)


async def here(layer: Any, expected: dict[str, Any], group: str = "chat_x") -> None:
    """Wait until the keys and the number of connections of those who are here are as expected."""

    async def look() -> dict[str, int]:
        return {key: len(person["metas"]) for key, person in (await layer.presence(group)).items()}

    await until_awaited(look, expected)


async def test_presence_r1_two_servers_agree_and_three_tabs_are_one_person(servers: Any) -> None:
    one, two = servers(presence={"chat_*": {"key": "user"}})
    ada = User(7)
    tabs = [await (await Tab.open(server, ada)).join() for server in (one, one, two)]
    await (await Tab.open(two, User("bob"))).join()
    await (await Tab.open(two, User(None, is_authenticated=False))).join()
    for server in (one, two):
        await here(server, {"7": 3, "bob": 1})
    assert (await one.presence("chat_x"))["7"] == {"metas": [{}, {}, {}], "away": False}
    for tab in tabs[:2]:
        await tab.layer.untrack("chat_x", tab.channel)
    for server in (one, two):
        await here(server, {"7": 1, "bob": 1})
    assert await one.presence("other") == {}


async def test_who_comes_and_leaves_is_told_to_those_who_hear(servers: Any, short: None) -> None:
    one, two = servers(presence={"chat_*": {"key": "user", "meta": lambda scope: {"name": scope["user"].pk}}})
    ear = await (await Tab.open(one, User("ear"), hears=True)).join()
    deaf = await (await Tab.open(one, User("deaf"))).join()
    await until_async(lambda: ear.joined()[-1:] == ["deaf"], "it is told of who comes after it")
    tab = await (await Tab.open(two, User("ada"))).join()
    await until_async(lambda: "ada" in ear.joined(), "and of who comes to another server")
    assert ear.diffs()[-1]["joins"]["ada"] == {"metas": [{"name": "ada"}], "away": False}
    assert ear.diffs()[-1]["group"] == "chat_x"
    assert ear.diffs()[-1]["version"] == (await one.presence("chat_x")).version
    await tab.close()
    await until_async(lambda: ear.left() == ["ada"], "and of who has left, once")
    assert deaf.diffs() == [], "row R5"
    await ear.close()


async def test_presence_r2_a_reload_is_no_leave(
    servers: Any, short: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attendance, "GRACE_S", 1.5)  # a reload takes a while on a busy machine
    one, two = servers(presence={"chat_*": {"key": "user"}})
    await two.presence("chat_x")  # its connections are there
    ear = await (await Tab.open(one, User("ear"), hears=True)).join()
    for server in (one, two, one):
        tab = await (await Tab.open(server, User("ada"))).join()
        await tab.layer.group_discard("chat_x", tab.channel)  # as disconnect() does
        await tab.close()
    last = await (await Tab.open(two, User("ada"))).join()
    await here(one, {"ear": 1, "ada": 1})
    other = await (await Tab.open(two, User("bob"))).join()
    await other.close()
    await until_async(lambda: ear.left() == ["bob"], "the grace is over")
    assert "ada" in await one.presence("chat_x")
    await last.close()
    await until_async(lambda: ear.left() == ["bob", "ada"], "then it has left")


async def test_a_client_that_is_away_is_still_here(servers: Any) -> None:
    one, two = servers(presence={"chat_*": {"key": "user"}})
    ear = await (await Tab.open(one, User("ear"), hears=True)).join()
    tab = await (await Tab.open(two, User("ada"))).join()
    more = await (await Tab.open(two, User("ada"))).join()
    await here(one, {"ear": 1, "ada": 2})

    two.away(tab.channel, True)
    two.away(more.channel, True)
    await until_async(lambda: _last(ear, "ada") is True, "all of them are away")
    assert (await one.presence("chat_x"))["ada"]["away"] is True
    two.away(tab.channel, False)
    await until_async(lambda: _last(ear, "ada") is False, "it is back")
    assert ear.left() == []


def _last(ear: Tab, key: str) -> Any:
    told = [diff["joins"][key]["away"] for diff in ear.diffs() if key in diff["joins"]]
    return told[-1] if told else None


async def test_what_is_told_of_a_connection(servers: Any) -> None:
    one, two = servers()
    tab = await (await Tab.open(one)).track("7", {"name": "Ada “λ” \U0001f600", "at": [1, {"x": None}]})
    await here(two, {"7": 1})
    assert (await two.presence("chat_x"))["7"]["metas"] == [
        {"name": "Ada “λ” \U0001f600", "at": [1, {"x": None}]}
    ]
    await tab.track("7", {"name": "Countess"})
    found = await one.presence("chat_x")
    assert found["7"]["metas"] == [{"name": "Countess"}]
    await tab.track("eight")
    await here(two, {"eight": 1})


async def test_told_twice_at_once_it_is_still_here(servers: Any, short: None) -> None:
    one, two = servers()
    ear = await (await Tab.open(two, hears=True)).track("ear")
    tab = await Tab.open(one)
    await asyncio.gather(*(tab.track("7", {"n": n}) for n in (1, 2, 3)))
    other = await (await Tab.open(one)).track("bob")
    await other.close()
    await until_async(lambda: "bob" in ear.left(), "who leaves after it has left")
    assert ear.left() == ["bob"]
    assert (await two.presence("chat_x"))["7"]["metas"] == [{"n": 3}]


async def test_a_key_may_be_any_text(servers: Any) -> None:
    one, two = servers()
    for key in ('k:"\\\u2028', "v", "", "ü" * 200):
        if key:
            await (await Tab.open(one)).track(key)
    await here(two, {'k:"\\\u2028': 1, "v": 1, "ü" * 200: 1})


@pytest.mark.parametrize(
    ("key", "meta", "error", "says"),
    [
        (None, None, TypeError, "not None"),
        (True, None, TypeError, "not True"),
        ("", None, ValueError, "1 to 200 characters"),
        ("x" * 201, None, ValueError, "not 201"),
        ("ada", {"name": "x" * 1014}, ValueError, "1025 bytes.*at most 1024"),
        ("ada", {"name": object()}, TypeError, "form in JSON"),
        ("ada", ["a"], TypeError, "meta is a dict"),
    ],
)
async def test_what_cannot_be_told_is_refused(
    make: Make, key: Any, meta: Any, error: type[Exception], says: str
) -> None:
    tab = await Tab.open(make())
    with pytest.raises(error, match=says):
        await tab.track(key, meta)
    assert await tab.layer.presence("chat_x") == {}


async def test_only_a_consumer_of_this_process_can_be_present(make: Make) -> None:
    layer = make()
    channel = await layer.new_channel()
    with pytest.raises(ValueError, match=r"self\.channel_name"):
        await layer.track("chat_x", channel, "ada")


async def test_a_person_hears_on_every_connection(servers: Any) -> None:
    one, two = servers(presence={"chat_*": {"key": "user"}})
    tabs = [await (await Tab.open(server, User("ada"))).join() for server in (one, two)]
    other = await (await Tab.open(two, User("bob"))).join()
    await one.send_to_user("ada", {"type": "hello"})
    message = {"type": "compat.person", "message": {"type": "hello"}}
    await until_async(lambda: all(len(tab.inbox.events) == 1 for tab in tabs), "each of them hears it")
    assert all(tab.inbox.events[0][1] == message for tab in tabs)
    assert not other.inbox.events


async def test_too_many_connections_of_one_person(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    layer = make()
    for _ in range(258):
        await (await Tab.open(layer)).track("same")
    await here(layer, {"same": 256})
    assert "more than 256 connections" in caplog.text


async def test_what_is_told_of_one_person_has_a_limit(servers: Any) -> None:
    """Each change of a person with 250 connections of 1 KiB was 250 KiB to everybody who watched."""
    one, two = servers()
    ear = await Tab.open(two, hears=True)
    await ear.track("ear")
    long = {"name": "x" * 1000}  # 1011 bytes
    tabs = [await Tab.open(one) for _ in range(12)]
    for number, tab in enumerate(tabs):
        await tab.track("ada", long if number else {"name": "first"})
    told = {"metas": [{"name": "first"}, *[long] * 8], "away": False, "more": 3}

    async def look() -> Any:
        return (await two.presence("chat_x")).get("ada")

    await until_awaited(look, told)
    await until_async(lambda: told in [diff["joins"].get("ada") for diff in ear.diffs()], "it is told")
    for tab in tabs[9:]:
        await one.untrack("chat_x", tab.channel)
    del told["more"]
    await until_awaited(look, told)


async def test_each_connection_by_itself(servers: Any) -> None:
    one, two = servers(presence={"chat_*": {"key": "channel"}})
    tabs = [await (await Tab.open(server)).join() for server in (one, two)]
    for server in (one, two):
        await here(server, {tab.channel: 1 for tab in tabs})


async def test_a_channel_of_which_the_layer_knows_nothing_yet(make: Make) -> None:
    layer = make()
    channel, inbox = await layer.new_channel(), inbox_of(asyncio.get_running_loop())
    layer.attach(channel, inbox)
    await layer.track("chat_x", channel, "ada")
    await here(layer, {"ada": 1})
    layer.departs(channel)
    await layer.detach(channel)


async def test_who_cannot_be_tracked_does_not_join(make: Make) -> None:
    """Was: a member who is absent."""
    layer = make(presence={"chat_*": {"key": lambda scope: scope["user"]["key"]}})
    user: dict[str, Any] = {"key": 1.5}
    tab = await Tab.open(layer, user)

    async def hears() -> bool:
        await layer.group_send("chat_x", {"type": "to.group"})
        await layer.send(tab.channel, {"type": "to.channel"})
        types = [""]
        while types[-1] != "to.channel":
            types.append((await asyncio.wait_for(tab.inbox.get(), 15))["type"])
        return "to.group" in types

    with pytest.raises(TypeError):
        await tab.join()
    await until_awaited(hears, False)  # on the queue layer Redis is told soon
    user["key"] = "ada"
    await tab.join()
    await here(layer, {"ada": 1})
    await layer.untrack("chat_x", tab.channel)
    user["key"] = 1.5
    with pytest.raises(TypeError):
        await tab.join()
    await until_awaited(hears, True)  # as before
    await tab.close()


async def test_a_flush_takes_everybody_out(servers: Any, short: None) -> None:
    one, two = servers(presence={"chat_*": {"key": "user"}})
    tab = await (await Tab.open(one, User("ada"))).join()
    await here(two, {"ada": 1})
    await one.flush()
    await here(one, {})
    await tab.join()
    await here(two, {"ada": 1})


async def test_nothing_is_left_behind(servers: Any, kind: Kind, short: None) -> None:
    one, two = servers(presence={"chat_*": {"key": "user"}})
    for group in ("chat_x", "chat_y"):
        tabs = [
            await (await Tab.open(server, User(n))).join(group) for n in range(5) for server in (one, two)
        ]
        for tab in tabs:
            await tab.close()
        await here(one, {}, group)
    if kind.name == "memory":
        assert one._hall._groups == {}
    else:
        nothing: list[bytes] = []
        await until_awaited(lambda: _keys(one), nothing)


async def _keys(layer: Any) -> list[bytes]:
    layers = [layer.old, layer.new] if hasattr(layer, "old") else [layer]
    return [
        key
        for layer in layers
        for station in layer._stations.all()
        for index in range(layer.keys.ring_size)
        for kind in ("presence", "present")
        for key in await station.scan(index, f"{layer.keys.at(index).prefix}:{kind}:")
    ]
