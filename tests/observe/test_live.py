"""The live page over HTTP: what all processes have, who may look, and what happens to who may not."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis

import compat.live
from compat.exceptions import LayerUnavailable
from compat.layers import InMemoryChannelLayer
from compat.live.asking import Answer, Exchange, Question
from compat.live.guard import Authenticate
from compat.live.orders import MOST_OF_ONE, MOST_ORDERS, Orders
from compat.live.orders import Refused as OrderRefused
from compat.live.redacting import as_text
from compat.live.watching import MOST_WATCHERS, Watches
from compat.patterns import re_path
from compat.routing import URLRouter
from compat.testing import ApplicationCommunicator
from compat.types import ASGIApp, Receive, Scope, Send
from tests.observe.counted import workers
from tests.support.clients import Client, Refused, get
from tests.support.environments import Environment
from tests.support.redis_server import RedisServer
from tests.support.servers import Server
from tests.support.waiting import until

APPLICATION = "tests.observe.live_app:application"
ADA = {"Cookie": "session=of ada"}
PATHS = ("", "live.js", "live.css", "now", "find?user=1", "watch?group=room")


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("live") / "log"


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def server(bare: Environment, redis: RedisServer, log: Path) -> Iterator[Server]:
    """Two processes, of which any may answer."""
    with workers(bare, redis, log, 2, APPLICATION) as server:
        until(lambda: both(server), "both are asked and answer")
        yield server


JSON = st.none() | st.booleans() | st.floats() | st.integers() | st.text()


def both(server: Server) -> bool:
    return [bool(one["has"]) for one in now(server)["processes"]] == [True, True]


def now(server: Server) -> dict[str, Any]:
    answer = get(server, "/live/now", **ADA)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def total(found: dict[str, Any], what: str) -> int:
    """The sum over all processes; -1 while one of them is silent."""
    has = [one["has"] for one in found["processes"]]
    return sum(one[what] for one in has) if all(has) else -1


def find(server: Server, kind: str, name: str) -> dict[str, Any]:
    """What is found once all have answered in time."""

    def of_all() -> dict[str, Any]:
        with httpx.Client(trust_env=False, timeout=15) as client:
            answer = client.get(server.http("/live/find"), params={kind: name}, headers=ADA)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found if found["silent"] == [] and found["whole"] is True else {}

    return until(of_all, "all processes answer")


def post(server: Server, content: Any, **headers: str) -> httpx.Response:
    with httpx.Client(trust_env=False, timeout=15) as client:
        return client.post(server.http("/live/close"), json=content, headers={**ADA, **headers})


def room(server: Server, user: str, *groups: str) -> Client:
    return Client(server, f"/room?user={user}&groups={','.join(groups)}", origin=None)


def test_all_processes_whoever_is_asked(server: Server) -> None:
    with ExitStack() as clients:
        for number in range(20):
            clients.enter_context(room(server, f"u{number % 5}", "all", f"of-{number % 2}"))
        clients.enter_context(Client(server, "/managed/eve", origin=None))

        def counted() -> dict[str, Any]:
            found = now(server)
            return found if total(found, "sockets") == 21 else {}

        found = until(counted, "all sockets are counted")
        assert found["whole"] is True and [one["name"] for one in found["processes"]] == sorted(
            one["name"] for one in found["processes"]
        )
        groups: dict[str, int] = {}
        for process in found["processes"]:
            for group, count in process["has"]["largest"]:
                groups[group] = groups.get(group, 0) + count
        assert groups == {"all": 20, "of-0": 10, "of-1": 10, "managed": 1}
        for kind, name, count in (
            *(("user", "u3", 4), ("user", "eve", 1), ("user", "nobody", 0)),
            *(("group", "of-1", 10), ("group", "managed", 1), ("group", "none", 0)),
        ):
            told = find(server, kind, name)
            assert (told["count"], len(told["sockets"])) == (count, count)
        (eve,) = find(server, "user", "eve")["sockets"]
        assert (eve["consumer"], eve["path"], eve["groups"]) == (
            "compat.manager",
            "/managed/eve",
            ["managed"],
        )
        one = find(server, "user", "u3")["sockets"][0]
        assert one["consumer"] == "tests.observe.live_app.Room" and one["groups"][0] == "all"
        assert find(server, "channel", one["channel"])["sockets"] == [one]
    until(lambda: total(now(server), "sockets") == 0, "they have left")


def test_who_looks_changes_no_rate(server: Server) -> None:
    """What the processes say to each other for the page is not what the application sends."""

    def counted(since: float) -> list[tuple[int, int]]:
        """What each process has sent and delivered, once it has reported after ``since``."""
        found = now(server)["processes"]
        layers = [one["layers"]["default"] for one in found if one["at"] > since]
        return [(one["sent"], one["delivered"]) for one in layers] if len(layers) == len(found) else []

    begun = time.time()
    before = until(lambda: counted(begun), "both have reported")
    for _ in range(20):
        find(server, "user", "nobody")
    looked = time.time()
    assert until(lambda: counted(looked), "both have reported again") == before


@pytest.mark.parametrize("kind", ["user", "group", "channel"])
def test_what_is_found_is_closed_once_it_is_confirmed(server: Server, log: Path, kind: str) -> None:
    with ExitStack() as clients:
        mine = [clients.enter_context(room(server, f"closed-{kind}", f"closing-{kind}")) for _ in range(4)]
        other = clients.enter_context(room(server, "other", "elsewhere"))
        until(lambda: find(server, "group", f"closing-{kind}")["count"] == 4, "they are found")
        name = {"user": f"closed-{kind}", "group": f"closing-{kind}"}.get(kind, "")
        name = name or find(server, "group", f"closing-{kind}")["sockets"][0]["channel"]
        count = 1 if kind == "channel" else 4
        told = post(server, {"kind": kind, "name": name}).json()
        assert (told["count"], told["silent"]) == (count, [])
        assert find(server, "group", f"closing-{kind}")["count"] == 4
        done = post(server, {"confirm": told["confirm"]})
        assert done.json() == {"count": count, "silent": [], "whole": True}
        until(lambda: find(server, "group", f"closing-{kind}")["count"] == 4 - count, "they are closed")
        if count == 4:
            assert {one.wait_closed()[0] for one in mine} == {1008}
        other.send_json({"group": "elsewhere"})
        assert other.receive_json()["group"] == "elsewhere"
        for _ in range(4):  # whichever process is asked
            again = post(server, {"confirm": told["confirm"]})
            assert again.status_code == 409 and "already" in again.json()["problem"]
    said = f"'ada' closed {count} sockets of {kind} {name!r}, from '127.0.0.1'"
    until(lambda: said in log.read_text(), "there is a record of it")


def test_a_connection_of_the_manager_is_closed(server: Server) -> None:
    with Client(server, "/managed/mallory", origin=None) as client:
        until(lambda: find(server, "user", "mallory")["count"] == 1, "it is found")
        told = post(server, {"kind": "user", "name": "mallory"}).json()
        assert post(server, {"confirm": told["confirm"]}).json()["count"] == 1
        assert client.wait_closed()[0] == 1008


def test_without_redis_nothing_is_closed(server: Server, redis: RedisServer) -> None:
    """Others may have more of the sockets, and cannot be asked."""
    with room(server, "apart", "apart"):
        until(lambda: find(server, "user", "apart")["count"] == 1, "it is found")
        told = post(server, {"kind": "user", "name": "apart"}).json()
        assert told["whole"] is True
        redis.pause()
        try:
            found = get(server, "/live/find?user=apart", **ADA).json()
            assert (found["whole"], found["silent"]) == (False, [])
            for content in ({"kind": "user", "name": "apart"}, {"confirm": told["confirm"]}):
                refused = post(server, content)
                assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
                assert "Nothing was closed" in refused.text
        finally:
            redis.resume()
        until(lambda: both(server), "both can be asked again")
        assert post(server, {"confirm": told["confirm"]}).json()["count"] == 1


def test_who_has_not_asked_cannot_confirm(server: Server, log: Path) -> None:
    """Nor can they use it up, whichever process they ask."""
    with room(server, "asked-for", "asked-for") as client:
        until(lambda: find(server, "user", "asked-for")["count"] == 1, "it is found")
        told = post(server, {"kind": "user", "name": "asked-for"}).json()
        for _ in range(4):
            refused = post(server, {"confirm": told["confirm"]}, Cookie="session=of bob")
            assert refused.status_code == 409 and "somebody else" in refused.json()["problem"]
        assert post(server, {"confirm": told["confirm"]}).json()["count"] == 1
        assert client.wait_closed()[0] == 1008
    said = "'bob' may not confirm what 'ada' has asked for: to close user 'asked-for'; from '127.0.0.1'"
    until(lambda: said in log.read_text(), "there is a record of it")


async def test_one_who_asks_for_much_takes_no_place_of_others() -> None:
    async def answer(question: Question) -> Answer:
        if question["what"] == "redeem":
            return orders.redeem(question["token"], question["who"])
        return {"count": 1}

    orders = Orders(Exchange(answer))

    async def prepared(who: str) -> str:
        return str((await orders.prepare(who, "user", "7"))["confirm"])

    async def confirmed(who: str, token: str) -> bool:
        try:
            return bool(await orders.carry_out(who, token, "here"))
        except OrderRefused:
            return False

    others = await prepared("bob")
    tokens = [await prepared("ada") for _ in range(MOST_ORDERS + 1)]
    assert await confirmed("bob", others)
    assert [await confirmed("ada", token) for token in tokens[-MOST_OF_ONE - 1 :]] == [
        False,
        *[True] * MOST_OF_ONE,
    ]


def test_the_audit_record_names_who_was_silent(server: Server, redis: RedisServer, log: Path) -> None:
    ghost = {"id": "ghost", "host": "gone", "pid": 1, "began": 1.0, "at": 1.0, "counters": {}}
    with room(server, "haunted", "haunted"), Redis.from_url(redis.url) as reports:

        def posted(content: dict[str, Any]) -> Any:
            """The answer, as long as the ghost has a lease: no longer than 5 s."""
            reports.hset("live:reports", "ghost", json.dumps(ghost))
            reports.zadd("live:reporters", {"ghost": 1000 * (time.time() + 5)})
            return post(server, content).json()

        until(lambda: find(server, "user", "haunted")["count"] == 1, "it is found")
        done = posted({"confirm": posted({"kind": "user", "name": "haunted"})["confirm"]})
        reports.hdel("live:reports", "ghost")
    assert done == {"count": 1, "silent": ["gone:1"], "whole": True}
    said = "'ada' closed 1 sockets of user 'haunted', from '127.0.0.1'; no answer from 'gone:1'"
    until(lambda: said in log.read_text(), "the record says so")


def test_a_group_is_watched_without_its_secrets(server: Server) -> None:
    with (
        room(server, "ann", "elsewhere") as ann,
        httpx.Client(trust_env=False, timeout=15) as client,
        client.stream("GET", server.http("/live/watch?group=watched"), headers=ADA) as events,
    ):
        assert events.headers["content-type"].startswith("text/event-stream")
        lines = events.iter_lines()
        assert next(lines) == "retry: 250"
        markup = "<img src=x onerror=alert(1)>"
        ann.send_json({"group": "watched", "text": markup, "password": "hunter2", "in": {"api_key": "k"}})
        said = next(line for line in lines if line.startswith("data: "))
        assert json.loads(said.removeprefix("data: ")) == {
            "type": "said",
            "group": "watched",
            "text": markup,
            "password": "•••",
            "in": {"api_key": "•••"},
        }
        for number in range(120):
            ann.send_json({"group": "watched", "n": number})
        shown = skipped = 0
        for line in lines:
            if line.startswith("event: skipped"):
                skipped += int(next(lines).removeprefix("data: "))
            elif line.startswith("data: "):
                shown += 1
            if shown + skipped == 120:
                break
        assert skipped  # no more than fifty in a second


@pytest.mark.parametrize("path", PATHS)
def test_nobody_else_may_look(server: Server, path: str) -> None:
    for headers in ({}, {"Cookie": "session=of eve"}, {"Authorization": "Basic YWRhOmFkYQ=="}):
        answer = get(server, f"/live/{path}", **headers)
        assert answer.status_code == 403 and "may not look" in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("path", PATHS[1:])
def test_other_sites_may_not_ask(server: Server, path: str) -> None:
    foreign = (
        "https://evil.example",
        "null",
        "http://127.0.0.1",
        f"{server.origin}.evil.example",
        "http://[",
    )
    for origin in foreign:
        assert "Origin" in get(server, f"/live/{path}", **ADA, Origin=origin).text
    for site in ("cross-site", "same-site"):
        answer = get(server, f"/live/{path}", **ADA, **{"Sec-Fetch-Site": site})
        assert answer.status_code == 403 and "other sites" in answer.text


def test_a_link_may_lead_to_the_page_and_nothing_frames_it(server: Server) -> None:
    page = get(server, "/live/", **ADA, **{"Sec-Fetch-Site": "cross-site"})
    assert page.status_code == 200 and page.headers["x-frame-options"] == "DENY"
    assert not re.search(r"<script>|<style>|\son\w+=|\sstyle=|javascript:", page.text)
    policy = page.headers["content-security-policy"]
    assert "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert page.headers["cache-control"] == "no-store"
    assert get(server, "/live", **ADA).headers["location"].endswith("/live/")


def test_orders_of_others_and_of_nobody(server: Server) -> None:
    refused = [
        (post(server, {"kind": "user", "name": "u"}, Cookie=""), 403),
        (post(server, {"kind": "user", "name": "u"}, Origin="https://evil.example"), 403),
        (post(server, {"confirm": "x"}), 409),
        (post(server, {"confirm": ""}), 409),
        (post(server, {"kind": "consumer", "name": "u"}), 409),
        (post(server, {"kind": "user", "name": ""}), 409),
        (post(server, {"kind": "user", "name": "u" * 201}), 409),
        (post(server, {"kind": "user", "name": 1}), 409),
        (post(server, ["kind"]), 400),
        (post(server, {"kind": "u" * 5000}), 413),
        (get(server, "/live/close", **ADA), 405),
        (get(server, "/live/nothing", **ADA), 404),
        (get(server, "/live/find", **ADA), 400),
        (get(server, "/live/find?user=1&group=2", **ADA), 400),
        (get(server, "/live/watch?group=a%20b", **ADA), 400),
        (get(server, "/live/watch?user=a", **ADA), 400),
    ]
    assert [answer.status_code for answer, _ in refused] == [status for _, status in refused]
    with httpx.Client(trust_env=False, timeout=15) as client:
        form = client.post(server.http("/live/close"), content=b'{"confirm": "x"}', headers=ADA)
        assert form.status_code == 400 and "application/json" in form.text


@pytest.mark.slow
async def test_a_thousand_who_watch(server: Server) -> None:
    """As many as may are served, the others are told so, and the rooms do not wait for them."""
    request = "GET /live/watch?group=crowd HTTP/1.1\r\nHost: x\r\nCookie: session=of ada\r\n\r\n"
    async with AsyncExitStack() as opened:

        async def watch() -> int:
            reader, writer = await asyncio.open_connection(server.host, server.port)
            opened.callback(writer.close)
            writer.write(request.encode())
            return int((await reader.readline()).split()[1])

        seen = await asyncio.gather(*(watch() for _ in range(1000)))
        assert seen.count(200) + seen.count(503) == 1000
        assert 1 <= seen.count(200) <= 2 * MOST_WATCHERS
        with room(server, "ann", "crowd") as ann:
            for number in range(100):
                ann.send_json({"group": "crowd", "n": number})
                assert ann.receive_json()["n"] == number


def test_a_name_and_a_password(server: Server) -> None:
    answer = get(server, "/basic/")
    assert answer.status_code == 401 and answer.headers["www-authenticate"].startswith("Basic")
    for sent in ("Z3JhY2U6aG9wcGVy", "Z3JhY2U6", "!", "%"):
        right = sent == "Z3JhY2U6aG9wcGVy"
        assert (get(server, "/basic/", Authorization=f"Basic {sent}").status_code == 200) is right


def test_a_page_for_everybody_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="expected what decides who may look"):
        compat.live.page(authenticate=None)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        compat.live.page()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"page\(\): basic makes .*; write basic\(name, password\)"):
        compat.live.page(authenticate=compat.live.basic)  # type: ignore[arg-type]
    for name, password in (("", "x"), ("x", ""), ("x", "é")):
        with pytest.raises(ValueError, match="expected a secret"):
            compat.live.basic(name, password)


def test_no_error_was_logged(server: Server, log: Path) -> None:
    assert "Traceback" not in log.read_text()


def test_audit_is_a_logger_that_warns() -> None:
    assert logging.getLogger("compat.audit").isEnabledFor(logging.WARNING)


@pytest.mark.parametrize("path", ["live/", "live/live.js", "live/now", "live/find?user=1"])
async def test_behind_routers_and_users(path: str) -> None:
    """As in an asgi.py of Django Channels: by a prefix, for users who are staff."""

    def staff_is(is_staff: bool) -> ASGIApp:
        async def application(scope: Scope, receive: Receive, send: Send) -> None:
            scope["user"] = SimpleNamespace(pk=7, is_staff=is_staff, is_active=True)
            await routes(scope, receive, send)

        return application

    routes = URLRouter([re_path(r"^live/", compat.live.page(authenticate=compat.live.staff))])
    for is_staff, status in ((True, 200), (False, 403)):
        transport = httpx.ASGITransport(staff_is(is_staff))
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            assert (await client.get(f"/{path}")).status_code == status


async def test_behind_a_proxy_that_changes_the_host(server: Server) -> None:
    """A browser says itself whether a page is of the same site."""
    behind = {"Origin": "https://ops.example", "Sec-Fetch-Site": "same-origin"}
    assert post(server, {"kind": "user", "name": "u"}, **behind).status_code == 200


def test_there_is_no_websocket(server: Server, log: Path) -> None:
    with pytest.raises(Refused) as refused:
        Client(server, "/live/now", origin=None)
    assert refused.value.status == 404


async def test_a_layer_of_others_that_fails_ends_the_watch() -> None:
    class Failing(InMemoryChannelLayer):
        async def receive(self, channel: str) -> Any:
            message = await super().receive(channel)
            if message["type"] == "fail":
                raise LayerUnavailable("away")
            return message

    layer = Failing()
    watches = Watches(compat.live.redact)
    for _ in range(2):
        async with watches.watch(layer, "group") as events:
            assert "retry" in await anext(events)
            await layer.group_send("group", {"type": "said"})
            assert await anext(events) == 'data: {"type": "said"}\n\n'
            await layer.group_send("group", {"type": "fail"})
            assert [event async for event in events] in ([], [": nothing new\n\n"])


@pytest.mark.parametrize("name", [None, "", False])
async def test_whoever_has_no_name_may_not_look(name: Any) -> None:
    assert await _status(lambda request: name) == 403


async def test_whatever_is_in_a_query_is_no_error() -> None:
    """Some servers pass on bytes that no URL may have; who may not look is told so, as always."""
    page = compat.live.page(authenticate=lambda request: None)
    scope = {"type": "http", "method": "GET", "path": "/now", "query_string": b"\xff", "headers": []}
    client = ApplicationCommunicator(page, scope)
    await client.send_input({"type": "http.request"})
    assert (await client.receive_output())["status"] == 403


async def test_a_name_is_a_text() -> None:
    """True admits nobody: the log of what was done would not say who did it."""
    with pytest.raises(TypeError, match="expected the name of who may look"):
        await _status(lambda request: True)  # type: ignore[arg-type, return-value]


async def _status(authenticate: Authenticate) -> int:
    page = compat.live.page(authenticate=authenticate)
    transport = httpx.ASGITransport(page)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        return (await client.get("/now")).status_code


SECRET_TEXT = '{"type": "login", "password": "hunter2", "list": [{"sessionid": 1}]}'
SHOWN_TEXT = {"type": "login", "password": "•••", "list": [{"sessionid": "•••"}]}
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
DEEP: Any = {"a": {"b": {"c": {"d": {"e": {"f": {}}}}}}}


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ({"type": "a", "text": "hello"}, {"type": "a", "text": "hello"}),
        ({"n": 1.5, "none": None, "yes": True}, {"n": 1.5, "none": None, "yes": True}),
        ({"text": SECRET_TEXT}, {"text": SHOWN_TEXT}),
        ({"text": json.dumps(SECRET_TEXT)}, {"text": SHOWN_TEXT}),
        ({"text": SECRET_TEXT + "\n" + SECRET_TEXT}, {"text": "… (137 characters)"}),
        ({"text": "42" + SECRET_TEXT}, {"text": "… (70 characters)"}),
        ({"text": "log " + json.dumps(SECRET_TEXT)}, {"text": "… (86 characters)"}),
        ({"text": "user=1&password=x"}, {"text": "… (17 characters)"}),
        ({"of": [["Authorization", "Bearer x"], ["a", "b"]]}, {"of": [["Authorization", "•••"], ["a", "b"]]}),
        ({"of": ("pin", 1234)}, {"of": ["pin", "•••"]}),
        ({"of": ["sessionid=abc123", "theme=dark"]}, {"of": ["… (16 characters)", "•••"]}),
        ({"of": ["amqp://auth:pw@host", 1]}, {"of": ["… (19 characters)", "•••"]}),
        ({"of": ["token", "a", "b"]}, {"of": ["token", "a", "b"]}),
        ({"name": "password", "value": "hunter2"}, {"name": "password", "value": "•••"}),
        ({"Key": "pin", "Values": ["1", "2"], "at": 1}, {"Key": "pin", "Values": "•••", "at": 1}),
        ({"name": "title", "value": "hello"}, {"name": "title", "value": "hello"}),
        ({"data": "Bearer sk-live-123"}, {"data": "… (18 characters)"}),
        ({"data": "the bearer of bad news"}, {"data": "the bearer of bad news"}),
        ({"data": f"see {JWT}"}, {"data": f"… ({len(JWT) + 4} characters)"}),
        ({"data": "eyJ and so on."}, {"data": "eyJ and so on."}),
        ({"data": "redis://:pw@host/0"}, {"data": "… (18 characters)"}),
        ({"data": "see amqp://ann:a:b@host"}, {"data": "… (23 characters)"}),
        ({"data": "http://host:80/a@b"}, {"data": "http://host:80/a@b"}),
        ({"text": "user=1&passenger list"}, {"text": "user=1&passenger list"}),
        ({"text": '{"password": '}, {"text": "… (13 characters)"}),
        ({"text": "[" * 9000}, {"text": "… (9000 characters)"}),
        ({"text": '{"password": "' + "x" * 20000}, {"text": "… (20014 characters)"}),
        ({"text": "x" * 400}, {"text": "x" * 300 + "… (400 characters)"}),
        ({"bytes": b"secret"}, {"bytes": "<6 bytes>"}),
        ({"of": object()}, {"of": "<object>"}),
        (DEEP, {"a": {"b": {"c": {"d": {"e": {"f": "…"}}}}}}),
        ({"a": {"b": {"c": {"d": {"e": {"f": SECRET_TEXT}}}}}}, DEEP),
    ],
)
def test_what_of_a_message_is_shown(message: Any, shown: Any) -> None:
    if shown is DEEP:
        shown = {"a": {"b": {"c": {"d": {"e": {"f": f"… ({len(SECRET_TEXT)} characters)"}}}}}}
    assert compat.live.redact("group", message) == shown


@pytest.mark.parametrize(
    "key",
    [
        *(
            "password",
            "password1",
            "new_password2",
            "passwordConfirm",
            "passwords",
            "PWD",
            "pass",
            "user_pass",
        ),
        *("token", "accessToken", "refresh_token", "X-API-Key", "api_key", "apikey", "private_key", "csrf"),
        *(
            "Authorization",
            "auth",
            "bearer",
            "cookie",
            "sessionid",
            "client_secret",
            "pin",
            "user_pin",
            "userPin",
            "userPIN",
            "PIN",
            "pinCode",
            "SIMPin",
            "pin_number",
            "connectSid",
            "otp",
        ),
        *("card-number", "cardNumber", "cvc", "ssn", "sid", "credentials", "signature", "jwt"),
    ],
)
def test_what_sounds_like_a_secret_is_dots(key: str) -> None:
    assert compat.live.redact("group", {key: "x"}) == {key: "•••"}
    assert compat.live.redact("group", {"of": [{key: {"a": "x"}}]}) == {"of": [{key: "•••"}]}
    assert compat.live.redact("group", {"text": f'hello {{"{key}": "hunter2"'})["text"].startswith("…")


@pytest.mark.parametrize(
    "key",
    [
        *("text", "passenger", "spinner", "inside", "monkey", "company", "page"),
        *("spin", "SPIN", "pinned", "pinColor", "openings", "reside"),
    ],
)
def test_other_keys_are_shown(key: str) -> None:
    assert compat.live.redact("group", {key: "x"}) == {key: "x"}


def test_half_a_surrogate_pair_is_text() -> None:
    assert as_text(compat.live.redact("group", {"text": json.dumps("\ud800")})).encode()


@given(st.recursive(JSON, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_whatever_is_sent_has_a_form(content: Any) -> None:
    for message in ({"of": content}, {"text": json.dumps(content)}):
        assert len(as_text(compat.live.redact("group", message)).encode()) < 20_000


def test_a_message_of_any_size_costs_little() -> None:
    """What is looked at has a bound, whatever its sender has made of it."""
    wide = {"of": [[[number] * 100] * 100 for number in range(100)]}
    texts = {"of": ["[1, 2, 3]" * 1000] * 1000}
    for message in (wide, texts):
        seen = 0

        class Counted(list[Any]):
            def __getitem__(self, key: Any) -> Any:
                nonlocal seen
                found = super().__getitem__(key)
                seen += len(found) if isinstance(key, slice) else 1
                return found

        compat.live.redact("group", {"of": Counted(message["of"])})
        assert seen <= 50


def test_a_long_message_is_cut() -> None:
    shown = compat.live.redact("group", {str(number): "x" * 350 for number in range(1000)})
    assert len(shown) == 51 and shown["…"] == "950 more"
    assert len(as_text(shown)) == 4001
