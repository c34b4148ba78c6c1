"""What the log says of a connection, as JSON and as text."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from compat import logs
from compat.engine import register
from compat.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer
from compat.layers import InMemoryChannelLayer, register_channel_layer, unregister_channel_layer
from compat.logs import JSONFormatter
from tests.support.clients import Client
from tests.support.environments import Environment
from tests.support.paths import REPO
from tests.support.servers import LiveServer
from tests.support.waiting import until

OWN = logging.getLogger("app.rooms")


class User:
    pk = 7
    is_authenticated = True

    def __str__(self) -> str:
        return "a name that is nobody's business"


class Room(AsyncJsonWebsocketConsumer):
    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        OWN.warning("heard %s", content)
        await self.send_json("done")
        if content == "fail":
            raise ValueError("as told")


class SyncRoom(JsonWebsocketConsumer):
    def receive_json(self, content: Any, **kwargs: Any) -> None:
        OWN.warning("heard %s", content)
        self.send_json("done")


class SideBySide(Room):
    concurrency = 3


class Stuck(AsyncJsonWebsocketConsumer):
    """Fills its own inbox."""

    groups = ["stuck"]

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        for _ in range(3):
            await self.channel_layer.group_send("stuck", {"type": "ignored"})
        await self.send_json("done")

    async def ignored(self, event: Any) -> None:
        pass


def served_to_user(consumer: Any) -> Any:
    application = consumer.as_asgi()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await application({**scope, "user": User()}, receive, send)

    return app


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Where the loggers write JSON during a test."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    monkeypatch.setattr(logs, "_followed", False)
    handler.setFormatter(JSONFormatter())
    register_channel_layer("default", InMemoryChannelLayer(capacity=1))
    for name in ("compat", "app.rooms"):
        logging.getLogger(name).addHandler(handler)
    yield written
    for name in ("compat", "app.rooms"):
        logging.getLogger(name).removeHandler(handler)
    unregister_channel_layer("default")


def told(lines: io.StringIO, containing: str) -> dict[str, Any]:
    """The one record with a text in its message."""

    def found() -> list[dict[str, Any]]:
        records = [json.loads(line) for line in lines.getvalue().splitlines()]
        return [record for record in records if containing in record["message"]]

    until(found, f"a record with {containing!r}: {lines.getvalue()}")
    (record,) = found()
    return record


@pytest.mark.parametrize("consumer", [Room, SyncRoom, SideBySide])
def test_what_a_handler_logs_has_the_fields_of_its_connection(consumer: Any, lines: io.StringIO) -> None:
    with LiveServer(served_to_user(consumer)) as server, Client(server, "/rooms/a/") as client:
        client.send_json("hello")
        assert client.receive_json() == "done"
        record = told(lines, "heard hello")
    assert record.pop("time").endswith("Z")
    assert record.pop("channel").startswith("specific.")
    assert record == {
        "level": "WARNING",
        "logger": "app.rooms",
        "message": "heard hello",
        "consumer": f"{__name__}.{consumer.__name__}",
        "path": "/rooms/a/",
        "user": "7",
    }


def test_an_error_is_one_line_with_its_traceback(lines: io.StringIO) -> None:
    with LiveServer(served_to_user(Room)) as server, Client(server, "/rooms/a/") as client:
        client.send_json("fail")
        assert client.receive_json() == "done"
        record = told(lines, "failed in websocket.receive")
    assert (record["level"], record["user"], record["path"]) == ("ERROR", "7", "/rooms/a/")
    assert "Traceback" in record["exception"] and record["exception"].endswith("ValueError: as told")
    assert "nobody's business" not in lines.getvalue()


def test_a_drop_says_whose(lines: io.StringIO) -> None:
    with LiveServer(served_to_user(Stuck)) as server, Client(server, "/stuck/") as client:
        client.send_json("fill")
        assert client.receive_json() == "done"
        record = told(lines, "lost a message")
    assert (record["reason"], record["count"]) == ("overflow", 1)
    assert (record["consumer"], record["user"]) == (f"{__name__}.Stuck", "7")
    assert record["message"].startswith(f"channel {record['channel']} lost a message")
    assert record["message"].endswith(f"Its consumer: {__name__}.Stuck at '/stuck/', user '7'")


def test_a_user_s_key_adds_no_line_to_a_text_log() -> None:
    class Somebody:
        scope = {"user": SimpleNamespace(pk="7\n2026-11-23 CRITICAL root: all is lost"), "path": "/"}

    register.enter("of somebody", Somebody())
    try:
        assert str(register.Whose("of somebody")).endswith(r"user '7\n2026-11-23 CRITICAL root: all is lost'")
    finally:
        register.leave("of somebody")


def test_who_is_closed_for_a_full_inbox_is_named_too(lines: io.StringIO) -> None:
    register_channel_layer("default", InMemoryChannelLayer(capacity=1, on_overflow="close"))
    with LiveServer(served_to_user(Stuck)) as server, Client(server, "/stuck/") as client:
        client.send_json("fill")
        with pytest.raises(AssertionError, match="closed with 1013"):
            while client.receive_json() == "done":
                pass
        record = told(lines, "lost a message")
    assert record["user"] == "7" and record["path"] == "/stuck/"
    until(lambda: not register._consumers, "nobody is kept")


def formatted(record: logging.LogRecord) -> dict[str, Any]:
    line = JSONFormatter().format(record)
    assert "\n" not in line
    found: dict[str, Any] = json.loads(line)
    return found


class Odd:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


def test_whatever_is_in_a_record_is_one_line_of_json() -> None:
    values = {
        "odd": Odd(),
        "bytes": b"\xff",
        "nested": {1: {2}},
        "line": "a\nb\u2028c",
        "no text": float("nan"),
    }
    record = logging.makeLogRecord({"msg": "a %s\nb", "args": ("\ud800",), "levelname": "INFO", **values})
    found = formatted(record)
    assert found["message"] == "a \ud800\nb"
    assert found["odd"] == "<Odd, whose repr() raises RuntimeError>"
    assert found["nested"] == {"1": "{2}"} and found["line"] == "a\nb\u2028c"


def test_no_record_is_lost_for_one_value() -> None:
    circular: list[Any] = []
    circular.append(circular)
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    values: dict[Any, Any] = {
        "circular": circular,
        "deep": deep,
        "pairs": {("a", "b"): 1},
        "nan": [float("nan")],
    }
    values |= {"msg": "hello", "ok": [1], ("a", "key"): 1}
    found = formatted(logging.makeLogRecord(values))
    assert (found["message"], found["ok"], found["('a', 'key')"]) == ("hello", [1], 1)
    assert (found["circular"], found["pairs"], found["nan"]) == ("[[...]]", "{('a', 'b'): 1}", "[nan]")
    assert "RecursionError" in found["deep"]


def test_a_field_of_the_record_is_not_replaced() -> None:
    own = {"time": 3, "level": 5, "logger": "x", "message": "x"}
    record = logging.makeLogRecord({"msg": "hello", "levelname": "ERROR", "name": "app", "created": 0.0})
    record.__dict__.update(own)
    record.exc_text, record.__dict__["exception"] = "a traceback", "none"
    assert formatted(record) == {
        "time": "1970-01-01T00:00:00.000Z",
        "level": "ERROR",
        "logger": "app",
        "message": "hello",
        "exception": "a traceback",
    }


def test_a_user_whose_key_raises_loses_no_record() -> None:
    class Broken:
        @property
        def pk(self) -> int:
            raise RuntimeError("no database")

    class Anybody:
        scope = {"user": Broken(), "path": "/"}

    logs._current.set((Anybody(), "x"))
    try:
        record = formatted(logging.makeLogRecord({"msg": "hello"}))
        assert record["message"] == "hello" and record["channel"] == "x" and "user" not in record
    finally:
        logs._current.set(None)


def test_one_setting_does_it(bare: Environment) -> None:
    """In a process of its own, because it changes the loggers."""
    code = """
import asyncio, logging
from compat.fastapi import open_layers
from compat.settings import configure
import compat.consumer
configure(CHANNEL_LOG_JSON=True, CHANNEL_LAYERS={})
logging.getLogger("uvicorn").addHandler(logging.StreamHandler())
async def main():
    for _ in range(2):
        async with open_layers():
            pass
    logging.getLogger("compat.layers").warning("one")
    logging.getLogger("uvicorn").error("two")
asyncio.run(main())
"""
    done = bare.run("python", "-c", code, cwd=REPO)
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in done.stderr.splitlines()]
    assert [(record["logger"], record["message"]) for record in records] == [
        ("compat.layers", "one"),
        ("uvicorn", "two"),
    ]


CONFIGURED = """
import asyncio, logging, logging.config
logging.config.dictConfig({
    "version": 1,
    "formatters": {"json": {"()": "compat.logs.JSONFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {"compat.limits": {"level": "ERROR"}},
})
from compat.fastapi import open_layers
from compat.settings import configure
configure(CHANNEL_LAYERS={})
def tell(name):
    logging.getLogger(name).warning("heard")
async def main():
    async with open_layers():
        tell("compat.layers")
"""


@pytest.mark.parametrize(
    ("then", "heard"),
    [
        ("asyncio.run(main())", ["compat.layers"]),
        ("tell('app'); tell('compat.consumer')", ["app", "compat.consumer"]),
        ("tell('app'); tell('compat.limits')", ["app"]),
        ("tell('app'); logging.getLogger('compat.layers').disabled = True; asyncio.run(main())", ["app"]),
    ],
    ids=["from the start", "or the first record on", "not below a level", "nor if disabled by name"],
)
def test_a_configuration_that_names_the_formatter_disables_none_of_our_loggers(
    then: str, heard: list[str], bare: Environment
) -> None:
    """Was: it disables all loggers that exist, which ours do as soon as the formatter is imported."""
    done = bare.run("python", "-c", f"{CONFIGURED}\n{then}", cwd=REPO)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["logger"] for line in done.stderr.splitlines()] == heard
