"""What is counted in all processes, whichever of them is asked."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import json
import os
import signal
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

from compat import fleet
from tests.observe.counted import workers
from tests.support.clients import Client, get
from tests.support.environments import Environment
from tests.support.redis_server import RedisServer
from tests.support.servers import Server
from tests.support.waiting import until

Samples = dict[tuple[str, ...], float]
LAYERS = ("default", "pubsub")


GHOST = {"id": "ghost", "host": "gone", "pid": 1, "began": 1.0, "at": 1.0, "counters": {}}


def samples(text: str) -> Samples:
    """Name and labels of each sample: its value; what a page changes by being asked is left out."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scrape(server: Server, query: str = "") -> Samples:
    """What Prometheus gets, on a connection of its own."""
    answer = get(server, f"/metrics{query}")
    assert answer.status_code == 200, answer.text
    return samples(answer.text)


def processes(found: Samples) -> set[str]:
    return {labels[0] for name, *labels in found if name == "channels_connections"}


def total(found: Samples, name: str) -> float:
    return sum(value for (of, *_), value in found.items() if of == name)


def agreed(server: Server, looks: int = 10) -> Samples:
    """What so many scrapes in a row agree on; nothing if they do not."""
    found = [scrape(server) for _ in range(looks)]
    return found[0] if all(one == found[0] for one in found) else {}


def test_four_workers_on_two_layers_one_of_them_killed(
    bare: Environment, redis_server: RedisServer, tmp_path: Path
) -> None:
    with workers(bare, redis_server, tmp_path / "log", 4) as server, ExitStack() as clients:
        until(lambda: len(processes(scrape(server))) == 4, "a worker without clients reports too")
        paths = ["/queue", "/pubsub"] * 100
        sockets = [clients.enter_context(Client(server, path, origin=None)) for path in paths]
        for socket in sockets[:2]:
            socket.send_json("hello")
        for socket in sockets:
            assert socket.receive_json() == "hello"

        def all_told() -> Samples:
            found = agreed(server)
            layers = [{key: value for key, value in found.items() if name in key} for name in LAYERS]
            told = all(
                total(one, "channels_layer_sent_total") == 1
                and total(one, "channels_layer_delivered_total") == 100
                for one in layers
            )
            return found if told and total(found, "channels_connections") == 200 else {}

        # A report may be a second old: what ten scrapes agree on may lack what came after it.
        found = until(all_told, "ten scrapes agree on 200 sockets, and on what these were sent")
        assert found["channels_processes",] == len(processes(found)) == 4
        assert found["channels_processes_readable",] == 1
        of_hosts = scrape(server, "?of=host")
        assert processes(of_hosts) == processes(found)
        (own,) = processes(scrape(server, "?of=process"))
        assert own in processes(found)

        left = {name: found["channels_connections", name] for name in processes(found) if name != own}
        os.kill(int(own.rpartition(":")[2]), signal.SIGKILL)

        def is_gone() -> Samples:
            looked = agreed(server)
            return looked if own not in processes(looked) else {}

        after = until(is_gone, "the killed one is gone", deadline_s=30)
        assert {name: after["channels_connections", name] for name in left} == left
        with Redis.from_url(redis_server.url) as redis:
            assert redis.hlen("counted:reports") == len(processes(after))
    with Redis.from_url(redis_server.url) as redis:
        until(lambda: not redis.keys("counted:report*"), "nothing is left in Redis")


def test_an_outage_is_one_line_from_each_layer(
    bare: Environment, redis_server: RedisServer, tmp_path: Path
) -> None:
    with (
        workers(bare, redis_server, tmp_path / "log", 1) as server,
        Client(server, "/queue", origin=None),
        Client(server, "/pubsub", origin=None),
    ):
        until(lambda: scrape(server)["channels_processes_readable",], "it reports")
        redis_server.kill()
        until(lambda: "cannot use Redis" in server.log(), "it is noticed")
        for _ in range(5):
            assert scrape(server)["channels_processes_readable",] == 0
        warnings = [line for line in server.log().splitlines() if "Redis" in line]
        assert len(warnings) <= 2 and not any("report" in line for line in warnings), warnings


def test_the_token(alone: tuple[Server, RedisServer]) -> None:
    server, _ = alone

    def answer(*headers: tuple[bytes, bytes]) -> httpx.Response:
        with httpx.Client(trust_env=False, timeout=15) as client:
            return client.get(server.http("/guarded"), headers=list(headers))

    right = b"Bearer secret of the test"
    for wrong in (
        b"",
        b"Bearer",
        b"Basic secret of the test",
        right + b"2",
        right[:-1],
        b"Bearer \xff",
    ):
        refused = answer((b"Authorization", wrong))
        assert refused.status_code == 401, wrong
        assert refused.headers["www-authenticate"] == 'Bearer realm="metrics"'
        assert "channels_" not in refused.text
    assert answer().status_code == 401
    for way in (right, b"bearer secret of the test"):
        assert "channels_connections" in answer((b"Authorization", way)).text


def test_what_is_asked_for_in_vain(alone: tuple[Server, RedisServer]) -> None:
    server, _ = alone
    answer = get(server, "/metrics?of=everything")
    assert (answer.status_code, answer.text) == (
        400,
        "of='everything': expected one of all, host, process\n",
    )


def test_reports_that_nobody_of_ours_has_written(alone: tuple[Server, RedisServer]) -> None:
    """Whoever may write into this Redis can add a process, and no more."""
    server, redis_server = alone
    layers = {"default": 5, "x": {"sent": None}, "y\ud800": {"sent": 10**400, "dropped": {"\ud800": 1}}}
    counters = {"connections": {"current": 7, "total": "many"}, "layers": layers}
    told = {"id": "1", "host": 'a"\n# b', "pid": 1, "began": 1.0, "at": 1.0, "counters": counters}
    odd: list[Any] = [
        "[" * 100_000,
        "[]",
        "{}",
        "5",
        "\ud800".encode("utf-8", "surrogatepass"),
        json.dumps({**told, "pid": "one"}),
        json.dumps({**told, "counters": []}),
        json.dumps({**told, "at": None}),
        json.dumps({**told, "id": ["1"]}),
        json.dumps({**told, "host": "\ud800"}),
        json.dumps({**told, "at": 10**400}),
        json.dumps({**told, "more": "x" * 2**18}),
    ]
    twin = json.dumps({**told, "id": "2", "of a newer version": 1})
    with Redis.from_url(redis_server.url) as redis:
        reports: dict[Any, Any] = {
            f"odd{number}": report for number, report in enumerate([*odd, json.dumps(told), twin])
        }
        redis.hset("counted:reports", mapping=reports)
        found = scrape(server)
        redis.hdel("counted:reports", *reports)
    assert len(processes(found)) == 3
    name = 'a"\n# b:1'
    assert found["channels_connections", f"{name}-1"] == found["channels_connections", f"{name}-2"] == 7
    assert ("channels_connections_accepted_total", f"{name}-1") not in found


def test_two_of_one_name_keep_their_series_when_one_restarts(alone: tuple[Server, RedisServer]) -> None:
    """As containers on the network of one host, in each of which the process is the first."""
    server, redis_server = alone

    def accepted(*those: tuple[str, float]) -> dict[str, float]:
        """The series of the host, while these processes report, by id and count."""
        reports: dict[Any, Any] = {
            name: json.dumps({**GHOST, "id": name * 32, "began": began, "counters": counted(count)})
            for began, (name, count) in enumerate(those)
        }
        with Redis.from_url(redis_server.url) as redis:
            redis.hset("counted:reports", mapping=reports)
            found = scrape(server)
            redis.hdel("counted:reports", *reports)
        name = "channels_connections_accepted_total"
        return {
            labels[0]: value for (of, *labels), value in found.items() if of == name and "gone" in labels[0]
        }

    def counted(total: float) -> dict[str, Any]:
        return {"connections": {"total": total}}

    assert accepted(("a", 100), ("b", 90000)) == {"gone:1-aaaaaaaa": 100, "gone:1-bbbbbbbb": 90000}
    assert accepted(("b", 90000), ("c", 0)) == {"gone:1-bbbbbbbb": 90000, "gone:1-cccccccc": 0}
    assert accepted(("c", 5)) == {"gone:1": 5}


async def test_this_process_is_marked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    own = fleet._reporter.own()
    twin = dataclasses.replace(own, id="twin")

    async def exchange(report: str, *, read: bool) -> tuple[list[fleet.Process], bool]:
        return [twin], True

    monkeypatch.setattr(fleet._reporter, "_exchange", exchange)
    found = await fleet._reporter._read()
    assert found.own.name == f"{own.name}-{own.id[:8]}" and found.own in found.processes


def test_a_lease_ends_whatever_becomes_of_the_keys(alone: tuple[Server, RedisServer]) -> None:
    """One of the keys is evicted; the clock of Redis has been an hour ahead."""
    server, redis_server = alone
    with Redis.from_url(redis_server.url) as redis:
        redis.hset("counted:reports", "ghost", json.dumps(GHOST))
        redis.delete("counted:reporters")
        until(lambda: len(processes(scrape(server))) == 1, "who has no lease is gone")
        redis.hset("counted:reports", "ghost", json.dumps(GHOST))
        redis.zadd("counted:reporters", {"ghost": 1000 * (time.time() + 3600)})
        until(lambda: len(processes(scrape(server))) == 1, "nobody has a lease of an hour")
        assert redis.hkeys("counted:reports") == redis.zrange("counted:reporters", 0, -1) != []


def test_a_redis_that_refuses_it_alone_is_no_silence(alone: tuple[Server, RedisServer]) -> None:
    server, redis_server = alone
    with Redis.from_url(redis_server.url) as redis:
        redis.execute_command("ACL", "SETUSER", "default", "-hset")
        try:
            until(lambda: not scrape(server)["channels_processes_readable",], "it is refused")
            until(lambda: "cannot report what it counts" in server.log(), "it says so")
        finally:
            redis.execute_command("ACL", "SETUSER", "default", "+hset")
    until(lambda: scrape(server)["channels_processes_readable",], "it may again")


def test_without_redis_it_knows_of_itself(alone: tuple[Server, RedisServer]) -> None:
    server, redis_server = alone
    said = server.log().count("cannot report")
    with Client(server, "/queue", origin=None):
        redis_server.pause()
        try:
            found = scrape(server)
        finally:
            redis_server.resume()
        assert found["channels_processes_readable",] == 0
        assert found["channels_processes",] == 1 == total(found, "channels_connections")
    until(lambda: scrape(server)["channels_processes_readable",], "Redis answers again")
    assert server.log().count("cannot report") == said, "of an outage the layer speaks"


def test_an_event_loop_that_ends_leaves_no_task(caplog: pytest.LogCaptureFixture) -> None:
    """Servers in a thread, and test cases, close their loops without cancelling what waits there."""
    for _ in range(2):
        loop = asyncio.new_event_loop()
        found = loop.run_until_complete(fleet.processes())
        assert [process.pid for process in found.processes] == [os.getpid()]
        loop.close()
        del loop
        gc.collect()
    assert not caplog.records
