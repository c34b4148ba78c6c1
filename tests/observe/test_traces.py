"""Traces: spans of connects, handlers, sends and deliveries, over processes, and what they cost when off."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from asgiref.sync import async_to_sync
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler

from compat import otel, tracing
from compat.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer
from compat.layers import InMemoryChannelLayer, register_channel_layer, unregister_channel_layer
from compat.layers.redis.core import RedisChannelLayer
from compat.layers.redis.pubsub import RedisPubSubChannelLayer
from compat.layers.redis.streams import RedisStreamsChannelLayer
from compat.names import LIVE
from compat.testing import WebsocketCommunicator
from compat.tracing import TRACE_KEY
from tests.support.browser import Browser
from tests.support.environments import Environment
from tests.support.paths import REPO
from tests.support.servers import Server, served
from tests.support.waiting import until

heard: list[Any] = []


class Room(AsyncJsonWebsocketConsumer):
    """Says to its group what a client says."""

    groups = ["room"]

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        if content == "fail":
            raise ValueError("as asked")
        await self.channel_layer.group_send("room", {"type": "said", "content": content})

    async def said(self, event: Any) -> None:
        await self.send_json(event)


class TwoAtOnceRoom(Room):
    concurrency = 2


class SyncRoom(JsonWebsocketConsumer):
    groups = ["room"]

    def receive_json(self, content: Any, **kwargs: Any) -> None:
        async_to_sync(self.channel_layer.group_send)("room", {"type": "said", "content": content})

    def said(self, event: Any) -> None:
        self.send_json(event)


class OneThreadRoom(SyncRoom):
    thread_sensitive = True


Spans = InMemorySpanExporter


def traced_by(sampler: Sampler, **options: Any) -> Spans:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=ParentBased(sampler))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    otel.instrument(provider, **options)
    return exporter


@pytest.fixture
def spans() -> Iterator[Spans]:
    yield traced_by(ALWAYS_ON)
    otel.uninstrument()


@pytest.fixture(params=["memory", "queue", "pubsub", "streams"])
async def layer(request: pytest.FixtureRequest, redis_url: str) -> Any:
    kinds = {
        "queue": RedisChannelLayer,
        "pubsub": RedisPubSubChannelLayer,
        "streams": RedisStreamsChannelLayer,
    }
    kind: Any = kinds.get(request.param)
    prefix = f"traces-{request.param}"
    made: Any = InMemoryChannelLayer() if kind is None else kind(hosts=[redis_url], prefix=prefix)
    register_channel_layer("default", made)
    yield made
    unregister_channel_layer("default")
    if kind is not None:
        await made.close_pools()


async def talk(consumer: Any, headers: Any = ()) -> Any:
    client = WebsocketCommunicator(consumer.as_asgi(), "/here", headers=list(headers))
    assert (await client.connect())[0]
    await client.send_json_to("hello")
    said = await client.receive_json_from(timeout=15)
    await client.disconnect()
    return said


def named(spans: Spans, name: str) -> ReadableSpan:
    (found,) = [span for span in spans.get_finished_spans() if span.name == name]
    return found


def of(span: ReadableSpan) -> trace.SpanContext:
    found = span.get_span_context()
    assert found is not None
    return found


@pytest.mark.parametrize("consumer", [Room, TwoAtOnceRoom, SyncRoom, OneThreadRoom])
async def test_a_connection_its_sends_and_deliveries(spans: Spans, layer: Any, consumer: Any) -> None:
    assert await talk(consumer) == {"type": "said", "content": "hello"}
    name = consumer.__qualname__
    connect, frame = named(spans, f"{name} connect"), named(spans, f"{name} websocket.receive")
    send, delivery = named(spans, "group_send said"), named(spans, f"{name} said")
    assert connect.parent is None and connect.attributes is not None
    assert connect.attributes["url.path"] == "/here"
    assert connect.attributes["channels.consumer"] == f"{__name__}.{name}"
    for child, parent in ((frame, connect), (send, frame), (delivery, send)):
        assert child.parent is not None and child.parent.span_id == of(parent).span_id
        assert of(child).trace_id == of(parent).trace_id
    assert [link.context.span_id for link in delivery.links] == [of(send).span_id, of(connect).span_id]
    assert delivery.kind is trace.SpanKind.CONSUMER and send.kind is trace.SpanKind.PRODUCER


@pytest.mark.parametrize("trusted", [True, False])
async def test_a_handshake_with_a_trace(layer: Any, trusted: bool) -> None:
    """Is a link; it is the parent where clients are trusted to say what is kept."""
    number = "0af7651916cd43dd8448eb211c80319c"
    spans = traced_by(ALWAYS_ON, trust_handshake=trusted)
    try:
        await talk(Room, [(b"traceparent", f"00-{number}-b7ad6b7169203331-00".encode())])
        await talk(Room, [(b"traceparent", f"00-{number}-b7ad6b7169203331-01".encode())])
        await talk(Room, [(b"traceparent", b"no trace"), (b"tracestate", b"\xff")])
    finally:
        otel.uninstrument()
    connects = [span for span in spans.get_finished_spans() if span.name == "Room connect"]
    traces = {f"{of(span).trace_id:032x}" for span in connects}
    assert (number in traces) is trusted and len(traces) == (2 if trusted else 3)
    linked = [f"{link.context.trace_id:032x}" for span in connects for link in span.links]
    assert linked == ([] if trusted else [number, number])


async def test_an_error_is_in_its_span(spans: Spans, layer: Any) -> None:
    client = WebsocketCommunicator(Room.as_asgi(), "/")
    await client.connect()
    await client.send_json_to("fail")
    with pytest.raises(ValueError, match="as asked"):
        await client.receive_json_from(timeout=15)
    span = named(spans, "Room websocket.receive")
    assert span.status.status_code is trace.StatusCode.ERROR
    assert [event.name for event in span.events] == ["exception"]


async def test_what_is_not_sampled_leaves_nothing_and_carries_nothing(layer: Any) -> None:
    spans = traced_by(ALWAYS_OFF)
    try:
        assert await talk(Room) == {"type": "said", "content": "hello"}
        mine = await layer.new_channel()
        await layer.send(mine, {"type": "x", TRACE_KEY: "00-" + "1" * 32 + "-" + "2" * 16 + "-01"})
        assert await layer.receive(mine) == {"type": "x"}
    finally:
        otel.uninstrument()
    assert spans.get_finished_spans() == ()


async def test_a_delivery_is_told_though_its_connection_is_not_sampled(layer: Any) -> None:
    spans = traced_by(ALWAYS_OFF)
    try:
        client = WebsocketCommunicator(Room.as_asgi(), "/")
        await client.connect()
        above = trace.SpanContext(1, 2, is_remote=False, trace_flags=trace.TraceFlags(1))
        with trace.use_span(trace.NonRecordingSpan(above)):
            await layer.group_send("room", {"type": "said", "content": 1})
        assert await client.receive_json_from(timeout=15) == {"type": "said", "content": 1}
        await client.disconnect()
    finally:
        otel.uninstrument()
    # It may have come, and have been handled, before Redis has answered its sender.
    assert sorted(span.name for span in spans.get_finished_spans()) == ["Room said", "group_send said"]


async def test_the_receivers_of_a_crowd_are_told_of_in_part(spans: Spans) -> None:
    register_channel_layer("default", InMemoryChannelLayer())
    try:
        clients = [WebsocketCommunicator(Room.as_asgi(), "/") for _ in range(50)]
        for client in clients:
            await client.connect()
        await clients[0].send_json_to("hello")
        for client in clients:
            assert await client.receive_json_from(timeout=15) == {"type": "said", "content": "hello"}
            await client.disconnect()
    finally:
        unregister_channel_layer("default")
    told = [span for span in spans.get_finished_spans() if span.name == "Room said"]
    assert len(told) == otel.MOST_DELIVERIES


@pytest.mark.parametrize("sent", [1, 2, 3])
async def test_a_second_has_so_many_spans(
    sent: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever is sampled; what is left out is handled as ever, carries nothing, and is counted."""
    now = 100.0
    monkeypatch.setattr(tracing, "steady", lambda: now)
    register_channel_layer("default", InMemoryChannelLayer())
    spans = traced_by(ALWAYS_ON, spans_per_second=6)
    client = WebsocketCommunicator(Room.as_asgi(), "/")
    try:
        await client.connect()
        for second in (1, 2):
            for _ in range(sent):  # a frame, a send, a delivery
                await client.send_json_to("hello")
                assert await client.receive_json_from(timeout=15) == {"type": "said", "content": "hello"}
            told = [span.name for span in spans.get_finished_spans()]
            for name in ("Room websocket.receive", "group_send said", "Room said"):
                assert told.count(name) == second * min(sent, 2)
            now += 1
        await client.disconnect()
    finally:
        otel.uninstrument()
        unregister_channel_layer("default")
    assert named(spans, "Room connect").end_time is not None
    left_out = [record for record in caplog.records if record.name == "compat.otel"]
    assert len(left_out) == (1 if sent == 3 else 0)
    assert all("raise spans_per_second" in record.getMessage() for record in left_out)


async def test_a_limit_of_no_spans_is_refused() -> None:
    with pytest.raises(ValueError, match="must be 1 or more, or None for no limit; found 0"):
        otel.instrument(spans_per_second=0)


async def test_sends_outside_a_trace_are_limited_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "steady", lambda: 100.0)
    spans = traced_by(ALWAYS_ON, spans_per_second=2)
    layer = InMemoryChannelLayer()
    try:
        for _ in range(3):
            await layer.group_send("nobody", {"type": "said"})
    finally:
        otel.uninstrument()
    assert len(spans.get_finished_spans()) == 2


SENDER = """
import asyncio, sys
from opentelemetry.sdk.trace import TracerProvider
from compat import otel
from compat.layers.redis import RedisChannelLayer, RedisPubSubChannelLayer, RedisStreamsChannelLayer
kind, url, prefix = sys.argv[1:]
layer = globals()[kind](hosts=[url], prefix=prefix)
otel.instrument(TracerProvider())
async def main():
    await layer.group_send("room", {"type": "said"})
    await layer.send("jobs", {"type": "x"})
    await layer.close_pools()
asyncio.run(main())
layer.group_send_sync("room", {"type": "said", "n": 2})
"""


@pytest.mark.parametrize("kind", [RedisChannelLayer, RedisPubSubChannelLayer, RedisStreamsChannelLayer])
async def test_a_process_without_traces_finds_none(bare: Environment, redis_url: str, kind: Any) -> None:
    """In messages of one that has them: in handlers, by hand, and on the channel of a worker."""
    prefix = f"untraced-{kind.__name__}"
    layer = kind(hosts=[redis_url], prefix=prefix)
    register_channel_layer("default", layer)
    try:
        client = WebsocketCommunicator(Room.as_asgi(), "/")
        await client.connect()
        mine = await layer.new_channel()
        await layer.group_add("room", mine)
        job = asyncio.ensure_future(layer.receive("jobs"))
        await layer.send("jobs", {"type": "ready"})
        assert await job == {"type": "ready"}
        job = asyncio.ensure_future(layer.receive("jobs"))
        asked = (kind.__name__, redis_url, prefix)
        done = await asyncio.to_thread(bare.run, "python", "-c", SENDER, *asked, cwd=REPO)
        assert done.returncode == 0, done.stderr
        for expected in ({"type": "said"}, {"type": "said", "n": 2}):
            assert await client.receive_json_from(timeout=15) == expected
            assert await asyncio.wait_for(layer.receive(mine), 15) == expected
        assert await asyncio.wait_for(job, 15) == {"type": "x"}
        await client.disconnect()
    finally:
        unregister_channel_layer("default")
        await layer.close_pools()


async def test_who_receives_by_hand_finds_no_trace(spans: Spans, layer: Any) -> None:
    mine = await layer.new_channel()
    await layer.send(mine, {"type": "x"})
    assert await layer.receive(mine) == {"type": "x"}


async def test_what_the_live_page_asks_is_no_send_of_the_application(spans: Spans, layer: Any) -> None:
    channel = await layer.new_channel(LIVE)
    await layer.send(channel, {"type": "compat.ask"})
    assert spans.get_finished_spans() == ()


def test_a_blocking_send_is_traced_and_takes_out_what_a_client_says(spans: Spans, redis_url: str) -> None:
    layer = RedisChannelLayer(hosts=[redis_url], prefix="traces-blocking")
    forged = {"type": "said", TRACE_KEY: "00-" + "1" * 32 + "-" + "2" * 16 + "-01"}
    layer.group_send_sync("nobody", forged)
    span = named(spans, "group_send said")
    assert span.parent is None and of(span).trace_id != int("1" * 32, 16)


async def test_it_is_not_begun_while_consumers_run() -> None:
    """To whose handlers the traces would be shown."""
    client = WebsocketCommunicator(Room.as_asgi(), "/")
    register_channel_layer("default", InMemoryChannelLayer())
    try:
        await client.connect()
        with pytest.raises(RuntimeError, match="call it where the application is made"):
            otel.instrument()
        await client.disconnect()
    finally:
        unregister_channel_layer("default")


async def test_a_layer_of_the_applications_own_sees_no_trace(spans: Spans) -> None:
    seen: list[Any] = []

    class Counting(InMemoryChannelLayer):
        async def send(self, channel: str, message: Any) -> None:
            seen.append(dict(message))
            await super().send(channel, message)

    register_channel_layer("default", Counting())
    try:
        await talk(Room)
    finally:
        unregister_channel_layer("default")
    assert seen == [{"type": "said", "content": "hello"}]
    assert [span.name for span in spans.get_finished_spans()].count("send said") == 0


async def test_what_is_no_trace_is_left_out(spans: Spans, layer: Any) -> None:
    """A message of a process that takes nothing out, in which somebody has put it."""
    client = WebsocketCommunicator(Room.as_asgi(), "/")
    await client.connect()
    for forged in ("x" * 100_000, "00-zz", 7, None):
        # As a process without traces sends it.
        send = type(layer).group_send.__wrapped__
        await send(layer, "room", {"type": "said", TRACE_KEY: forged})
        assert await client.receive_json_from(timeout=15) == {"type": "said"}
    await client.disconnect()
    assert not any(len(one) > 60 for one in otel._told)


async def test_the_error_of_a_handler_is_its_own(spans: Spans, layer: Any) -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise KeyError("no text")

    class Failing(Room):
        async def receive_json(self, content: Any, **kwargs: Any) -> None:
            raise Odd

    client = WebsocketCommunicator(Failing.as_asgi(), "/")
    await client.connect()
    await client.send_json_to("hello")
    with pytest.raises(Odd):
        await client.receive_json_from(timeout=15)
    names = [span.name for span in spans.get_finished_spans()]
    assert names[-1].endswith("Failing websocket.disconnect")


@pytest.mark.parametrize("consumer", [Room, SyncRoom])
async def test_the_context_is_left_at_the_end(spans: Spans, layer: Any, consumer: Any) -> None:
    """Whoever awaits the application is not in the trace of a connection that is over."""
    came: asyncio.Queue[Any] = asyncio.Queue()
    for kind in ("websocket.connect", "websocket.disconnect"):
        came.put_nowait({"type": kind, "code": 1000})

    async def send(message: Any) -> None:
        pass

    for _ in range(2):
        scope = {"type": "websocket", "path": "/", "headers": [], "query_string": b""}
        await consumer.as_asgi()(scope, came.get, send)
        assert not trace.get_current_span().get_span_context().is_valid
        came.put_nowait({"type": "websocket.disconnect", "code": 1000})


async def test_a_connection_that_is_cancelled_has_a_span(spans: Spans) -> None:
    """Before its handshake has come."""
    came: asyncio.Queue[Any] = asyncio.Queue()

    async def send(message: Any) -> None:
        pass

    register_channel_layer("default", InMemoryChannelLayer())
    try:
        scope = {"type": "websocket", "path": "/", "headers": [], "query_string": b""}
        running = asyncio.ensure_future(Room.as_asgi()(scope, came.get, send))
        for _ in range(10):
            await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    finally:
        unregister_channel_layer("default")
    assert named(spans, "Room connect").end_time is not None


async def test_a_history_keeps_no_traces(spans: Spans) -> None:
    layer = InMemoryChannelLayer(history={"room": {"count": 5}})
    register_channel_layer("default", layer)
    try:
        await talk(Room)
        assert [dict(entry) for entry in await layer.history("room")] == [
            {"type": "said", "content": "hello"}
        ]
    finally:
        unregister_channel_layer("default")


def test_it_is_undone(spans: Spans) -> None:
    traced = RedisChannelLayer.send
    otel.instrument()
    assert RedisChannelLayer.send is traced
    otel.uninstrument()
    assert RedisChannelLayer.send is not traced
    otel.uninstrument()


@pytest.fixture
def receiver() -> Iterator[Any]:
    """An OTLP/HTTP receiver; `spans` are those that came, each with the service that has sent it."""
    spans: list[tuple[str, Any]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                names = {one.key: one.value.string_value for one in resource.resource.attributes}
                for scope in resource.scope_spans:
                    spans.extend((names["service.name"], span) for span in scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    server.spans = spans  # type: ignore[attr-defined]
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("kind", ["core.RedisChannelLayer", "pubsub.RedisPubSubChannelLayer"])
def test_from_a_post_to_the_frame_at_a_browser(
    bare: Environment, redis_url: str, tmp_path: Path, receiver: Any, chromium: Browser, kind: str
) -> None:
    """Through two processes over Redis: one trace, at a receiver."""
    command = [
        bare.path("uvicorn"),
        "tests.observe.traced_app:app",
        "--host",
        "127.0.0.1",
        "--port",
        "{port}",
    ]
    with ExitStack() as servers:

        def start(service: str) -> Server:
            env = {
                "REDIS_URL": redis_url,
                "LAYER": kind,
                "PREFIX": f"traces-{kind}",
                "SERVICE": service,
                "OTLP": f"http://127.0.0.1:{receiver.server_port}/v1/traces",
            }
            return servers.enter_context(served(command, cwd=REPO, log=tmp_path / service, env=env))

        api, rooms = start("api"), start("rooms")
        chromium.get(rooms.http("/"))
        chromium.execute_script(
            "window.one = new WebSocket(arguments[0]); one.onmessage = (e) => { said.textContent = e.data }",
            rooms.ws("/room"),
        )
        until(lambda: chromium.execute_script("return one.readyState") == 1, "the socket is open")
        assert httpx.post(api.http("/say"), trust_env=False, timeout=15).status_code == 200
        text = until(lambda: chromium.execute_script("return said.textContent"), "the frame is there")
        assert json.loads(text) == {"type": "said", "text": "hello"}

        def chain() -> list[tuple[str, Any]]:
            """From the delivery upwards."""
            known = {span.span_id: (service, span) for service, span in receiver.spans}
            found = [one for one in receiver.spans if one[1].name == "Room said"]
            while found and found[-1][1].parent_span_id in known:
                found.append(known[found[-1][1].parent_span_id])
            return found if found and not found[-1][1].parent_span_id else []

        told = until(chain, "the whole trace has come")
        chromium.get("about:blank")
    assert [(service, span.name) for service, span in told] == [
        ("rooms", "Room said"),
        ("api", "group_send said"),
        ("api", "POST /say"),
    ]
    assert len({span.trace_id for _, span in told}) == 1
    assert told[0][1].links[0].span_id == told[1][1].span_id
