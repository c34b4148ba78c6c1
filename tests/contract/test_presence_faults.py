"""Who is here when servers die and connections break, and after any order of comings and goings."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compat.clock import steady
from compat.exceptions import LayerUnavailable
from compat.layers.redis import people
from tests.contract.test_presence import Tab, User, here, servers, short
from tests.support.layers import Kind, unique_prefix
from tests.support.waiting import until_async, until_awaited

__all__ = ["servers", "short"]

Make = Callable[..., Any]
pytestmark = [pytest.mark.layers(ours=True), pytest.mark.quick_kinds]
PRESENCE = {"chat_*": {"key": "user"}}


@pytest.fixture
def redis_only(kind: Kind) -> None:
    if kind.name == "memory":
        pytest.skip("a process that has died takes its memory with it")
    if "-to-" in kind.name or "-from-" in kind.name:
        pytest.skip("two layers, each of which is tested by itself")


def kill(server: Any) -> None:
    """What a `kill -9` leaves of a server: nothing renews its lease, and nothing tells of its connections."""
    for station in server._stations.all():
        station.attendance.people._beating.cancel()
        station.attendance.end = lambda channel: None


async def lose(server: Any) -> None:
    """Redis loses all that it knows of people."""
    (station,) = server._stations.all()
    for index in range(server.keys.ring_size):
        keys = server.keys.at(index)
        for kind in ("presence", "present"):
            await station.delete_all(index, f"{keys.prefix}:{kind}:")
        await station.shards.call(index, b"DEL", keys.processes, keys.dying, keys.last_version)


async def test_presence_r3_a_dead_server_s_people_leave_once(
    servers: Any, short: None, redis_only: None
) -> None:
    one, two = servers(presence=PRESENCE)
    ears = [await (await Tab.open(one, User(name), hears=True)).join() for name in ("ear", "ear2")]
    for name in ("ada", "bob", "both"):
        await (await Tab.open(two, User(name))).join()
    await (await Tab.open(one, User("both"))).join()
    await here(one, {"ear": 1, "ear2": 1, "ada": 1, "bob": 1, "both": 2})
    kill(two)
    for ear in ears:
        await until_async(lambda: len(ears[0].left()) >= 2, "they have left")
        await until_async(lambda: len(ears[1].left()) >= 2, "they have left")
        assert sorted(ear.left()) == ["ada", "bob"], "one leave each, and none of who is elsewhere"
    await here(one, {"ear": 1, "ear2": 1, "both": 1})


async def test_who_takes_a_dead_server_out_keeps_it_while_that_goes_on(
    servers: Any, redis_only: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = servers(presence=PRESENCE)[0]
    await (await Tab.open(one, User("ada"))).join()
    (station,) = one._stations.all()
    groups = ("chat_a", "chat_b", "chat_c")
    shards = {station.keys.group_shard(group) for group in groups}
    claimed: list[bytes] = []
    call = station.shards.call

    async def noted(shard: int, *command: Any) -> Any:
        answer = await call(shard, *command)
        if command[0] == b"ZADD":
            claimed.append(answer)
        return answer

    times = (steady() + step * people.CLAIM_MS / 1000 for step in itertools.count())
    monkeypatch.setattr(people, "steady", lambda: next(times))
    monkeypatch.setattr(station.shards, "call", noted)
    for shard, is_dying in [(shard, is_dying) for shard in shards for is_dying in (True, False)]:
        keys = station.keys.at(shard)
        await call(shard, b"SADD", keys.present("dead"), *groups)
        if is_dying:
            await call(shard, b"ZADD", keys.dying, 1000, "dead")
        claimed.clear()
        await station.attendance.people._take_out(shard, "dead")
        later = [1000 + turn * people.CLAIM_MS // 2 for turn in (1, 2, 3)]
        assert [answer and float(answer) for answer in claimed] == (later if is_dying else [None] * 3)
        assert await call(shard, b"ZSCORE", keys.dying, "dead") is None


async def test_a_server_that_was_taken_out_by_mistake_comes_back(
    servers: Any, short: None, redis_only: None
) -> None:
    one, two = servers(presence=PRESENCE)
    ear = await (await Tab.open(one, User("ear"), hears=True)).join()
    tab = await (await Tab.open(two, User("ada"))).join()
    (station,) = two._stations.all()
    store = station.attendance.people
    store._beating.cancel()  # it hangs for longer than its lease
    await until_async(lambda: ear.left() == ["ada"], "it is taken to be dead")
    store._beating = None
    store._start()
    await here(one, {"ear": 1, "ada": 1})
    await until_async(lambda: ear.joined()[-1:] == ["ada"], "it is here again")
    await tab.close()
    await until_async(lambda: ear.left() == ["ada", "ada"], "and leaves as anybody")


async def test_a_redis_that_has_lost_everything(servers: Any, short: None, redis_only: None) -> None:
    one, two = servers(presence=PRESENCE)
    await (await Tab.open(one, User("ada"))).join()
    await (await Tab.open(two, User("bob"))).join()
    await here(one, {"ada": 1, "bob": 1})
    await lose(one)
    for server in (one, two):
        await here(server, {"ada": 1, "bob": 1})


async def test_a_clock_of_redis_that_is_set_back_hides_nobody(
    servers: Any, short: None, redis_only: None
) -> None:
    one, two = servers(presence=PRESENCE)
    tab = await (await Tab.open(two, User("bob"))).join()
    (station,) = two._stations.all()
    index, people, _ = station.attendance.people._where("chat_x")
    version = int(await station.shards.call(index, b"HGET", people, b"v"))
    # The clock was an hour ahead when the group began.
    await station.shards.call(index, b"HSET", people, b"v", version + 3600 * 10**6)
    told: list[dict[str, Any]] = []
    page = await Tab.open(one)
    await one.show("chat_x", page.channel, lambda text: told.append(json.loads(text)))
    await tab.close()
    await until_async(lambda: "bob" in told[-1].get("leaves", {}), "the group is empty, and its hash gone")
    assert await station.shards.call(index, b"EXISTS", people) == 0
    await (await Tab.open(two, User("bob"))).join()
    await until_async(lambda: "bob" in told[-1].get("joins", {}), "the page is told of who comes after")
    versions = [each["version"] for each in told]
    assert versions == sorted(set(versions)), "a higher version is a later one"
    for server in (one, two):
        await here(server, {"bob": 1})


async def test_a_lost_lease_is_noticed_by_the_next_who_comes(
    servers: Any, short: None, redis_only: None
) -> None:
    """Before the beat: who comes does not make the lease anew, under which nobody else is here."""
    one, two = servers(presence=PRESENCE)
    await (await Tab.open(one, User("ada"))).join()
    await here(two, {"ada": 1})
    await lose(one)
    await (await Tab.open(one, User("bob"))).join()
    await here(two, {"ada": 1, "bob": 1})


async def test_an_enter_without_an_answer_leaves_no_ghost(
    servers: Any, short: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = servers()
    first, second = await Tab.open(one), await Tab.open(one)
    await first.track("ada", {"at": 1})
    layer = getattr(one, "sending", one)
    store = layer._attendance_of(first.channel).people
    enter = type(store).enter

    async def enters_and_fails(*arguments: Any, **options: Any) -> int:
        await enter(*arguments, **options)
        raise LayerUnavailable("the answer is lost")

    monkeypatch.setattr(type(store), "enter", enters_and_fails)
    for tab, key in ((first, "ada"), (second, "bob")):
        with pytest.raises(LayerUnavailable):
            await tab.track(key, {"at": 2})
    monkeypatch.setattr(type(store), "enter", enter)
    await here(two, {"ada": 1})
    for tab in (first, second):
        await tab.close()
    await here(two, {})


async def test_changes_that_were_missed_are_read(servers: Any, short: None, redis_only: None) -> None:
    one, two = servers(presence=PRESENCE)
    ear = await (await Tab.open(one, User("ear"), hears=True)).join()
    (station,) = one._stations.all()
    reading = [one_of._link for one_of in station.attendance.people._subscriptions._subscribers.values()]
    for link in reading:
        link.end("cut")
    tab = await (await Tab.open(two, User("ada"))).join()
    await until_async(lambda: "ada" in ear.joined(), "it has come while the connection was cut")
    await tab.close()
    await until_async(lambda: ear.left() == ["ada"], "it has left")


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["open", "close", "leave", "away", "back"]),
        st.integers(0, 5),
        st.sampled_from(["ada", "bob"]),
        st.integers(0, 1),
    ),
    max_size=25,
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
async def test_presence_r4_any_order_of_comings_and_goings_ends_in_agreement(
    make: Make, kind: Kind, short: None, steps: list[tuple[str, int, str, int]]
) -> None:
    """What two servers say, and what somebody knows who has only added up the changes, is the same."""
    prefix = unique_prefix()
    fleet = [make()] * 2 if kind.name == "memory" else [make(prefix=prefix), make(prefix=prefix)]
    ear = await (await Tab.open(fleet[0], hears=True)).track("ear")
    tabs: dict[int, tuple[Tab, str]] = {}
    away: set[int] = set()
    for step, number, name, server in steps:
        if step == "open" and number not in tabs:
            tabs[number] = await (await Tab.open(fleet[server])).track(name), name
        elif number in tabs and step in ("close", "leave"):
            tab, _ = tabs.pop(number)
            away.discard(number)
            if step == "leave":
                await tab.layer.untrack("chat_x", tab.channel)
            await tab.close()
        elif number in tabs and step in ("away", "back"):
            tabs[number][0].layer.away(tabs[number][0].channel, step == "away")
            (away.add if step == "away" else away.discard)(number)
    expected: dict[str, Any] = {"ear": {"metas": [{}], "away": False}}
    for name in {name for _, name in tabs.values()}:
        mine = [number for number, (_, of) in tabs.items() if of == name]
        expected[name] = {"metas": [{}] * len(mine), "away": away.issuperset(mine)}
    for layer in fleet:
        await until_awaited(lambda layer=layer: _as_dict(layer), expected)  # type: ignore[misc]

    async def added_up() -> dict[str, Any]:
        known: dict[str, Any] = {}
        for diff in ear.diffs():
            known = {
                key: person for key, person in {**known, **diff["joins"]}.items() if key not in diff["leaves"]
            }
        return known

    await until_awaited(added_up, expected)
    for tab, _ in tabs.values():
        await tab.close()
    await ear.close()
    await asyncio.sleep(0)


async def _as_dict(layer: Any) -> dict[str, Any]:
    return dict(await layer.presence("chat_x"))
