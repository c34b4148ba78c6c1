"""Each check of the doctor: what it finds, what the fix names, and silence where nothing is wrong."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from redis import Redis
from starlette.applications import Starlette
from starlette.routing import Mount, Route, WebSocketRoute

from compat import AsyncWebsocketConsumer, WebsocketConsumer, integration
from compat.auth import AuthMiddlewareStack
from compat.cli.doctor import (
    CHECKS,
    Finding,
    Severity,
    Subject,
    findings_of,
    package_checks,
    redis_checks,
    server_checks,
)
from compat.cli.doctor.answers import Answer
from compat.cli.doctor.commands import commands_of, server_commands
from compat.cli.doctor.report import Diagnosis, _answer_text
from compat.fastapi import include_consumers
from compat.layers import InMemoryChannelLayer
from compat.layers.redis.core import RedisChannelLayer
from compat.layers.redis.pubsub import RedisPubSubChannelLayer
from compat.layers.redis.streams import RedisStreamsChannelLayer
from compat.patterns import path
from compat.resume import Resumable
from compat.routing import ProtocolTypeRouter, URLRouter
from compat.security.websocket import AllowedHostsOriginValidator, OriginValidator
from compat.settings import override
from tests.support.layers import unique_prefix
from tests.support.processes import free_port
from tests.support.redis_cluster import shared_cluster
from tests.support.redis_server import Keyless, RedisServer


class Chat(AsyncWebsocketConsumer):
    pass


class Blocking(WebsocketConsumer):
    pass


class Elsewhere(AsyncWebsocketConsumer):
    channel_layer_alias = "elsewhere"


class Alone(AsyncWebsocketConsumer):
    channel_layer_alias = None


class Fleeting(AsyncWebsocketConsumer):
    resume_seconds = 0


class Forgetful(AsyncWebsocketConsumer):
    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.channel_layer.group_send("room", {"type": "said"})


def router(*consumers: Any) -> URLRouter:
    return URLRouter([path(f"ws/{number}/", one.as_asgi()) for number, one in enumerate(consumers)])


def subject(app: Any = None, *, command: str = "uvicorn a:b --ws-max-size 65536", **values: Any) -> Subject:
    values.setdefault("commands", commands_of(command, "Procfile:1"))
    return Subject(name="main:app", app=app, **values)


def found(subject: Subject, check: str) -> list[Finding]:
    """The findings of one check; a check that fails itself is a failure of the test."""
    assert check.replace("-", "_") in {one.__name__ for one in CHECKS}
    findings = list(findings_of(subject))
    assert not [one for one in findings if "this check failed" in one.text], findings
    return [one for one in findings if one.check == check]


def only(subject: Subject, check: str, severity: Severity, text: str, fix: str) -> Finding:
    (finding,) = found(subject, check)
    assert finding.severity is severity
    assert re.search(text, finding.text), finding.text
    assert re.search(fix, finding.fix), finding.fix
    return finding


ERROR, WARNING, NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE
LIMITS = {"CHANNEL_MAX_MESSAGE_SIZE": 65536}


@pytest.fixture
def origin_checked() -> Iterator[None]:
    """The suite switches the Origin warning off; here it is on."""
    with override(CHANNEL_ORIGIN_CHECK=True):
        yield


# The settings


def test_settings_with_wrong_values() -> None:
    """Also where another check reads the setting: that one says nothing more."""
    sync = subject(router(Blocking), members=2400)
    with override(CHANNEL_THREADS="24"):
        only(sync, "settings-wrong", ERROR, "CHANNEL_THREADS must be a whole number.*found '24'", "Correct")
    with override(CHANNEL_IDLE_TIMEOUT="60", ALLOWED_HOSTS=[3]):
        assert [one.where for one in found(sync, "settings-wrong")] == ["", ""]
    assert found(sync, "settings-wrong") == []


def test_names_that_are_nearly_those_of_settings() -> None:
    with override(CHANEL_LAYERS={}, CHANNEL_MAX_CONECTIONS=3, CHATS=1, WSGI_APPLICATION="a.b"):
        first, second = found(subject(), "settings-misspelt")
    assert first.severity is WARNING and "no setting CHANEL_LAYERS" in first.text
    assert "CHANNEL_LAYERS" in first.fix and "CHANNEL_MAX_CONNECTIONS" in second.fix
    assert found(subject(), "settings-misspelt") == []


# The application


def test_an_application_without_consumers() -> None:
    only(subject(Starlette()), "no-consumers", NOTE, "no consumer was found in main:app", "module:name")
    assert found(subject(router(Chat)), "no-consumers") == []
    assert found(subject(None), "no-consumers") == []


def test_a_class_in_the_place_of_an_application() -> None:
    app = Starlette(routes=[Mount("/in", Starlette(routes=[WebSocketRoute("/ws", Chat)]))])
    text = "'/in/ws' has the class Chat as its endpoint"
    finding = only(subject(app), "consumer-without-as-asgi", ERROR, text, r"Chat\.as_asgi\(\)")
    assert finding.where == "/in/ws"


def test_a_consumer_of_websockets_on_a_route_for_requests() -> None:
    app = Starlette(routes=[Route("/ws", Chat.as_asgi())])
    fix = r"app\.router\.add_websocket_route\('/ws', Chat\.as_asgi\(\)\)"
    only(subject(app), "consumer-without-as-asgi", ERROR, "for HTTP requests", fix)
    good = FastAPI()
    good.router.add_websocket_route("/ws", Chat.as_asgi())
    assert found(subject(good), "consumer-without-as-asgi") == []


@pytest.mark.usefixtures("origin_checked")
def test_sockets_that_any_page_can_open() -> None:
    only(subject(router(Chat)), "origin-not-checked", WARNING, "'/ws/0/'", "AllowedHostsOriginValidator")
    guarded = ProtocolTypeRouter({"websocket": AllowedHostsOriginValidator(router(Chat))})
    assert found(subject(guarded), "origin-not-checked") == []
    with override(ALLOWED_HOSTS=["example.com"]):
        assert found(subject(router(Chat)), "origin-not-checked") == []
    with override(CHANNEL_ORIGIN_CHECK=False):
        assert found(subject(router(Chat)), "origin-not-checked") == []


def test_an_origin_check_that_checks_nothing() -> None:
    check = "origin-check-admits-everybody"
    only(subject(OriginValidator(router(Chat), ["*"])), check, WARNING, r"allows '\*'", "ALLOWED_HOSTS = ")
    only(subject(OriginValidator(router(Chat), [])), check, ERROR, "refuses every client", "ALLOWED_HOSTS = ")
    assert found(subject(OriginValidator(router(Chat), ["example.com"])), check) == []
    with override(ALLOWED_HOSTS=["*"]):
        only(subject(router(Chat)), check, WARNING, "every consumer", "ALLOWED_HOSTS = ")


def test_debug_mode() -> None:
    only(subject(Starlette(debug=True)), "debug-is-on", WARNING, "debug mode is on", "DEBUG = False")
    with override(DEBUG=True):
        assert len(found(subject(router(Chat)), "debug-is-on")) == 1
    assert found(subject(Starlette()), "debug-is-on") == []


def test_sessions_of_one_process_among_several() -> None:
    app = AuthMiddlewareStack(router(Chat))
    several = subject(app, command="uvicorn a:b --workers 3")
    fix = r'"compat\.session_layer".* or "compat\.session_cookies"'
    only(several, "sessions-in-memory", ERROR, r"each of 3 processes \(Procfile:1\)", fix)
    assert found(subject(app), "sessions-in-memory") == []
    for engine in ("compat.session_layer", "compat.session_cookies"):
        with override(SESSION_ENGINE=engine):
            assert found(several, "sessions-in-memory") == []


# Consumers


def test_an_await_that_was_forgotten() -> None:
    fix = r"await self\.channel_layer\.group_send\("
    finding = only(subject(router(Forgetful)), "await-forgotten", ERROR, r"Forgetful\.receive calls", fix)
    assert finding.where.startswith(f"{__file__}:")
    assert found(subject(router(Chat)), "await-forgotten") == []


def test_a_layer_that_is_not_configured() -> None:
    given = subject(router(Elsewhere))
    finding = only(
        given, "layer-alias-not-configured", ERROR, "'elsewhere'.*refused", "Add it to CHANNEL_LAYERS"
    )
    assert finding.where == "/ws/0/"
    there = subject(router(Elsewhere), layers={"elsewhere": InMemoryChannelLayer()})
    assert found(there, "layer-alias-not-configured") == []
    without = subject(router(Alone))
    assert found(without, "layer-alias-not-configured") == []


def test_a_layer_that_the_lifespan_registers() -> None:
    """Was: an error, and several processes had no layer."""
    given = subject(router(Elsewhere), named_workers=2, registers_layers=True)
    only(given, "layer-alias-not-configured", NOTE, "in its lifespan", "where the application is imported")
    assert found(given, "no-layers") == [] and found(given, "resume-over-memory-layer") == []


def test_sync_consumers_on_one_thread() -> None:
    class Alone(Blocking):
        thread_sensitive = True

    check = "one-thread-for-sync-consumers"
    only(subject(router(Alone)), check, WARNING, "'.*Alone' has thread_sensitive", "Remove the attribute")
    with override(CHANNEL_THREADS=0):
        only(subject(router(Blocking)), check, WARNING, "CHANNEL_THREADS is 0", "Remove the setting")
        assert found(subject(router(Chat)), check) == []
    assert found(subject(router(Blocking)), check) == []


class Framework:
    """One that opens databases, as the real Django does."""

    database = object()
    users = None


@pytest.fixture
def framework() -> Iterator[None]:
    registered: Any = Framework()
    integration.register(registered)
    yield
    integration.unregister(registered)


def databases(engine: str = "django.db.backends.sqlite3", **options: Any) -> dict[str, Any]:
    return {"default": {"ENGINE": engine, "NAME": "db.sqlite3", "OPTIONS": options}}


@pytest.mark.usefixtures("framework")
def test_sqlite_under_handlers_side_by_side() -> None:
    class Alone(Blocking):
        thread_sensitive = True

    check = "sqlite-locked"
    with override(DATABASES=databases()):
        text = "'default' is SQLite.*handlers of 'Blocking'.*database is locked"
        finding = only(subject(router(Blocking)), check, WARNING, text, "IMMEDIATE.*thread_sensitive = True")
        assert finding.where == "DATABASES['default']"
        assert found(subject(router(Alone, Chat)), check) == []
        with override(CHANNEL_THREADS=0):
            assert found(subject(router(Blocking)), check) == []
    for quiet in ({}, databases(transaction_mode="IMMEDIATE"), databases("django.db.backends.postgresql")):
        with override(DATABASES=quiet):
            assert found(subject(router(Blocking)), check) == []


def test_sqlite_that_nothing_opens() -> None:
    """The settings of a project on the subset of Django have DATABASES too."""
    with override(DATABASES=databases()):
        assert found(subject(router(Blocking)), "sqlite-locked") == []


def test_more_members_than_threads_can_serve() -> None:
    check, full = "threads-for-members", subject(router(Blocking), members=2400)
    only(full, check, WARNING, "2400 handlers of 'Blocking' on 24 threads.*after 1.0 s", "CHANNEL_THREADS")
    assert found(subject(router(Blocking), members=100), check) == []
    assert found(subject(router(Chat), members=2400), check) == []


def test_clients_without_limits() -> None:
    class Limited(Chat):
        max_message_size = 1000

    only(subject(router(Chat)), "no-limits", NOTE, "no limit is set", "CHANNEL_MAX_MESSAGE_SIZE = 65536")
    assert found(subject(router(Limited)), "no-limits") == []
    with override(**LIMITS):
        assert found(subject(router(Chat)), "no-limits") == []


def test_fewer_connections_than_people() -> None:
    with override(CHANNEL_MAX_CONNECTIONS=100):
        given = subject(router(Chat), members=300, named_workers=2)
        only(given, "fewer-connections-than-members", ERROR, "100 in each of 2 processes", "Raise it")
        assert found(subject(members=200, named_workers=2), "fewer-connections-than-members") == []


# Layers


def test_consumers_without_a_layer() -> None:
    only(subject(router(Chat)), "no-layers", NOTE, "to its own client", "CHANNEL_LAYERS = ")
    assert found(subject(router(Chat), layers={"default": InMemoryChannelLayer()}), "no-layers") == []


def test_memory_and_several_workers() -> None:
    layers, check = {"default": InMemoryChannelLayer()}, "memory-layer-with-workers"
    several = subject(layers=layers, command="uvicorn a:b --workers 4")
    only(several, check, ERROR, r"each of 4 processes \(Procfile:1\)", "RedisChannelLayer")
    only(subject(layers=layers), check, NOTE, "a second worker", "RedisChannelLayer")
    redis = {"default": RedisChannelLayer(["redis://127.0.0.1:1"])}
    assert found(subject(layers=redis, named_workers=4), check) == []


# Clients that come back


REDIS = {"default": RedisChannelLayer(["redis://127.0.0.1:1"])}


async def endpoint(scope: Any, receive: Any, send: Any) -> None: ...


@pytest.mark.parametrize("layers", [{}, {"default": InMemoryChannelLayer()}], ids=["none", "memory"])
def test_P6_a_client_that_comes_back_to_another_worker(layers: dict[str, Any]) -> None:
    check, text = "resume-over-memory-layer", r"another of 4 processes \(Procfile:1\).*'/ws/0/'"
    command = "uvicorn a:b --workers 4"
    only(subject(router(Chat), layers=layers, command=command), check, WARNING, text, "Redis layer")
    plain = Starlette(routes=[WebSocketRoute("/plain", Resumable(endpoint))])
    only(subject(plain, layers=layers, command=command), check, WARNING, "'/plain'", "Redis layer")
    assert found(subject(router(Chat), layers=layers), check) == [], "one worker"
    assert found(subject(router(Chat), layers=REDIS, command=command), check) == []
    assert found(subject(router(Fleeting), layers=layers, command=command), check) == []
    with override(CHANNEL_RESUME_SECONDS=0):
        assert found(subject(router(Chat), layers=layers, command=command), check) == []


def test_tickets_that_only_their_own_process_knows() -> None:
    check = "resume-without-secret-key"
    with override(SECRET_KEY=""):
        only(subject(router(Chat), named_workers=2), check, NOTE, "SECRET_KEY", "SECRET_KEY")
        only(subject(router(Chat), layers=REDIS), check, NOTE, "SECRET_KEY", "SECRET_KEY")
        only(subject(router(Chat)), check, NOTE, "after a restart", "SECRET_KEY")
        assert found(subject(router(Fleeting), named_workers=2), check) == []
    with override(SECRET_KEY="a long random text"):
        assert found(subject(router(Chat), named_workers=2), check) == []


def test_a_time_that_is_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    check = "resume-seconds-not-a-number"
    monkeypatch.setenv("CHANNEL_RESUME_SECONDS", "for ever")
    text, fix = "number of seconds.*'for ever'", "CHANNEL_RESUME_SECONDS"
    finding = only(subject(router(Chat)), check, ERROR, text, fix)
    assert finding.where == "/ws/0/"
    assert found(subject(router(Fleeting)), check) == []


@pytest.mark.parametrize(
    ("policy", "lost"), [("drop", "the newest"), ("drop_oldest", "the oldest"), ("close", "closed with 1013")]
)
def test_a_capacity_that_a_full_room_exceeds(policy: Any, lost: str) -> None:
    layers = {"default": InMemoryChannelLayer(on_overflow=policy)}
    text = f"capacity 100 .*'default'.*150 expected members.*{lost}"
    only(subject(layers=layers, members=150), "capacity-below-members", WARNING, text, '"capacity": 300')
    assert found(subject(layers=layers, members=100), "capacity-below-members") == []
    assert found(subject(layers=layers), "capacity-below-members") == []


def redis_layer(**host: Any) -> dict[str, Any]:
    return {"default": RedisChannelLayer([{"address": "redis://127.0.0.1:1", **host}])}


def test_timeouts_that_are_too_short_or_too_long() -> None:
    check = "timeouts-of-layers"
    only(subject(layers=redis_layer(socket_timeout=0.2)), check, WARNING, "socket_timeout = 0.2 s", "5 s")
    only(subject(layers=redis_layer(socket_connect_timeout=60)), check, NOTE, "socket_connect_timeout", "5 s")
    assert found(subject(layers=redis_layer()), check) == []


def test_a_redis_over_the_network_without_a_password() -> None:
    check, address = "redis-without-password", "redis://10.255.255.1:6379"

    def given(address: str) -> Subject:
        return subject(layers={"default": RedisChannelLayer([address])})

    findings = [one for one in _layers_only(given(address)) if one.check == check]
    assert [one.severity for one in findings] == [WARNING] and "10.255.255.1:6379" in findings[0].text
    for good in ("redis://:secret@10.255.255.1:6379", "redis://localhost:6379", "unix:///tmp/redis.sock"):
        assert [one for one in _layers_only(given(good)) if one.check == check] == []


def _layers_only(subject: Subject) -> list[Finding]:
    """Without asking the servers, whose addresses nobody answers at."""
    subject.answers = []
    return list(findings_of(subject))


def test_two_aliases_that_are_one_layer() -> None:
    def layers(prefix: str) -> dict[str, Any]:
        hosts = ["redis://127.0.0.1:1"]
        return {"one": RedisChannelLayer(hosts), "two": RedisChannelLayer(hosts, prefix=prefix)}

    only(subject(layers=layers("asgi")), "layers-that-share-names", WARNING, "'one' and 'two'", '"prefix"')
    assert found(subject(layers=layers("other")), "layers-that-share-names") == []


def test_the_real_channels_redis_and_redis_py_8(monkeypatch: pytest.MonkeyPatch) -> None:
    class Theirs:
        capacity = 100

    monkeypatch.setattr(Theirs, "__module__", "channels_redis.core")
    finding = found(subject(layers={"default": Theirs()}), "redis-py-drops-idle-sockets")
    from redis import __version__ as installed

    assert len(finding) == (int(installed.split(".")[0]) >= 8)
    assert all("pin redis<8" in one.fix and "after 5 s" in one.text for one in finding)


# Redis


def test_a_redis_that_answers(redis_server: RedisServer) -> None:
    given = subject(layers={"default": RedisPubSubChannelLayer(hosts=[redis_server.url])})
    (answer,) = given.answers
    assert answer.version and answer.failure == "" and answer.config["maxmemory-policy"] == "noeviction"
    names = {one.__name__.replace("_", "-") for one in redis_checks.CHECKS} - {"redis-far-away"}
    assert [one for one in findings_of(given) if one.check in names] == []


def test_a_layer_through_which_nothing_comes(redis_server: RedisServer) -> None:
    """A user of Redis who may ask, and may not run scripts."""
    with Redis(port=redis_server.port) as client:
        rules = "on >x ~* &* +@all -evalsha -eval -script -zadd"
        client.execute_command("ACL", "SETUSER", "reader", *rules.split())
    address = f"redis://reader:x@127.0.0.1:{redis_server.port}"
    given = subject(layers={"default": RedisChannelLayer([address])})
    only(given, "layer-without-messages", ERROR, "'default'.*(?i:perm|may not)", "channels-compat layers")


def test_a_user_of_redis_who_may_not_ask(redis_server: RedisServer) -> None:
    """Was: the server cannot be used."""
    with Redis(port=redis_server.port) as client:
        client.execute_command("ACL", "SETUSER", "app", *"on >pw ~* &* +@all -@dangerous".split())
    address = f"redis://app:pw@127.0.0.1:{redis_server.port}"
    given = subject(layers={"default": RedisChannelLayer([address])})
    (answer,) = given.answers
    assert (answer.failure, answer.info, answer.config) == ("", {}, {})
    assert re.fullmatch(r" \(Redis, \d+\.\d ms\)", _answer_text([answer]))
    names = {one.__name__.replace("_", "-") for one in redis_checks.CHECKS} - {"redis-far-away"}
    assert [one for one in findings_of(given) if one.check in names] == []


def test_a_redis_without_info(tmp_path: Path) -> None:
    """Was: the same, where the command is renamed away."""
    server = RedisServer(tmp_path, "--rename-command", "INFO", "")
    try:
        (answer,) = subject(layers={"default": RedisChannelLayer([server.url])}).answers
        assert (answer.failure, answer.info) == ("", {})
    finally:
        server.stop()


def test_a_credential_provider_that_fails(redis_server: RedisServer) -> None:
    """Was: a traceback."""
    host = {"host": "127.0.0.1", "port": redis_server.port, "credential_provider": Keyless()}
    given = subject(layers={"default": RedisChannelLayer([host])})
    only(given, "redis-unreachable", ERROR, "cannot be used: KeyError: 'TOKEN'", "in CHANNEL_LAYERS")


def test_the_answers_of_a_layer_with_several_servers(redis_server: RedisServer) -> None:
    """Was: a layer with several hosts had none in the report."""
    away = free_port()
    both = [redis_server.url, redis_server.url]
    layers = {"default": both, "broken": [*both, f"redis://127.0.0.1:{away}"]}
    given = subject(layers={alias: RedisChannelLayer(hosts) for alias, hosts in layers.items()})
    lines = [line for line, _ in Diagnosis(given, []).lines()]
    (fine,) = [line for line in lines if "default: RedisChannelLayer" in line]
    (wrong,) = [line for line in lines if "broken: RedisChannelLayer" in line]
    assert re.search(r" \((Redis [\d.]+, [\d.]+ ms(; )?){2}\)$", fine), fine
    assert re.search(rf": 127\.0\.0\.1:{away}: .*connection refused", wrong), wrong


def test_a_layer_that_changes_messages() -> None:
    """More keys are fine, as those of a trace; another value is not."""

    class Traced(InMemoryChannelLayer):
        async def send(self, channel: str, message: Any) -> None:
            await super().send(channel, {**message, "trace": "t1"})

    class Mangled(InMemoryChannelLayer):
        async def send(self, channel: str, message: Any) -> None:
            await super().send(channel, {**message, "id": "another"})

    assert found(subject(layers={"default": Traced()}), "layer-without-messages") == []
    given = subject(layers={"default": Mangled()})
    only(given, "layer-without-messages", ERROR, "'another'.* was received", "channels-compat layers")


def test_a_redis_that_is_away(redis_server: RedisServer) -> None:
    redis_server.kill()
    given = subject(layers={"default": RedisChannelLayer([redis_server.url])})
    only(given, "redis-unreachable", ERROR, f"{redis_server.port}.*connection refused", "Start the server")


def test_a_redis_that_throws_keys_away(tmp_path_factory: pytest.TempPathFactory) -> None:
    options = ("--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru", "--timeout", "300")
    server = RedisServer(tmp_path_factory.mktemp("redis"), *options)
    try:
        given = subject(layers={"default": RedisChannelLayer([server.url])})
        only(given, "redis-memory", WARNING, "64 MiB.*allkeys-lru", "noeviction")
        only(given, "redis-closes-idle-clients", NOTE, "idle for 300 s", "timeout 0")
    finally:
        server.stop()


def test_a_redis_that_wants_a_password(tmp_path_factory: pytest.TempPathFactory) -> None:
    server = RedisServer(tmp_path_factory.mktemp("redis"), "--requirepass", "secret")
    try:
        given = subject(layers={"default": RedisChannelLayer([server.url])})
        finding = only(given, "redis-unreachable", ERROR, "(?i)auth", "password in CHANNEL_LAYERS")
        assert finding.where == f"127.0.0.1:{server.port}"
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("check", "severity", "text", "answer"),
    [
        ("redis-version", ERROR, "version 4.0.9.*layer .default. uses", {"redis_version": "4.0.9"}),
        ("redis-role", ERROR, "is a replica", {"role": "slave"}),
        ("redis-role", ERROR, "node of a cluster", {"cluster_enabled": 1}),
        ("redis-memory", WARNING, "uses 90 %", {"maxmemory": 100 << 20, "used_memory": 90 << 20}),
        ("redis-memory", WARNING, "deleted 7 keys", {"evicted_keys": 7}),
        ("redis-clients", WARNING, "has refused 3", {"rejected_connections": 3}),
    ],
)
def test_what_other_servers_say(check: str, severity: Severity, text: str, answer: dict[str, Any]) -> None:
    """Answers that no server here would give."""
    given = subject()
    given.answers = [Answer("default", "host:6379", info=answer)]
    finding = only(given, check, severity, text, ".")
    assert finding.where == "host:6379"


@pytest.mark.parametrize(("version", "count"), [("6.0.16", 1), ("6.2.0", 0), ("7.4.1", 0)])
def test_streams_need_a_newer_redis(version: str, count: int) -> None:
    given = subject(layers={"queue": RedisChannelLayer(), "streams": RedisStreamsChannelLayer()})
    info = {"redis_version": version}
    given.answers = [Answer("queue", "one:6379", info=info), Answer("streams", "two:6379", info=info)]
    findings = found(given, "redis-version")
    assert [finding.where for finding in findings] == ["two:6379"] * count
    assert all("6.2 or newer" in finding.fix for finding in findings)


def test_processes_with_different_numbers_of_shards() -> None:
    prefix, one = unique_prefix(), shared_cluster()
    layer = RedisChannelLayer([one.entry(shards=4)], prefix=prefix)
    asyncio.run(layer.send("jobs", {"type": "x"}))
    assert found(subject(layers={"default": layer}), "redis-cluster-shards") == []
    other = RedisChannelLayer([one.entry(shards=5)], prefix=prefix)
    asyncio.run(other.send("jobs", {"type": "x"}))
    finding = only(
        subject(layers={"default": layer}),
        "redis-cluster-shards",
        ERROR,
        "4 shards, and .* have 5",
        "same 'shards'",
    )
    assert finding.where == "default"
    for each in (layer, other):
        asyncio.run(each.flush())


def test_a_redis_that_is_far_away() -> None:
    given = subject()
    given.answers = [Answer("default", "host:6379", ping_s=0.05)]
    only(given, "redis-far-away", NOTE, "took 50 ms", "same network")


# The server


@pytest.mark.parametrize(
    ("options", "check", "severity", "text", "fix"),
    [
        ("--ws none", "no-websocket-implementation", ERROR, "serves no websockets", "Remove"),
        ("--ws wsproto", "no-websocket-implementation", NOTE, "wsproto", "websockets"),
        ("--ws-max-size 16777216", "largest-frame", NOTE, "16 MiB", "--ws-max-size 65536"),
        ("--ws-ping-interval 0", "pings", WARNING, "no pings", "--ws-ping-interval 20"),
        ("--ws-ping-interval 90", "pings", WARNING, "every 90 s.*after 60 s", "--ws-ping-interval 20"),
        ("", "stop-without-end", NOTE, "without a time limit", "--timeout-graceful-shutdown 10"),
        ("--reload", "reload-in-production", WARNING, "--reload", "Remove it"),
        (
            "--host 0.0.0.0 --forwarded-allow-ips *",
            "proxy-headers",
            WARNING,
            "from every client",
            "--forwarded-allow-ips",
        ),
        ("--lifespan off", "lifespan-off", NOTE, "--lifespan off", "--lifespan auto"),
    ],
)
def test_uvicorns_options(options: str, check: str, severity: Severity, text: str, fix: str) -> None:
    given = subject(command=f"uvicorn main:app {options}")
    assert only(given, check, severity, text, fix).where == "Procfile:1"


def test_options_that_are_well_chosen() -> None:
    options = "--ws-max-size 65536 --timeout-graceful-shutdown 20 --workers 4 --proxy-headers --host 0.0.0.0"
    names = {one.__name__.replace("_", "-") for one in server_checks.CHECKS}
    findings = findings_of(subject(command=f"uvicorn main:app {options}"))
    assert [one for one in findings if one.check in names] == []


def test_a_heartbeat_takes_the_place_of_pings() -> None:
    with override(CHANNEL_HEARTBEAT=20):
        assert found(subject(command="uvicorn main:app --ws-ping-interval 0"), "pings") == []


def test_limits_per_client_behind_a_proxy() -> None:
    with override(CHANNEL_MAX_CONNECTIONS_PER_CLIENT=10):
        given = subject(command="uvicorn main:app --host 0.0.0.0")
        only(
            given,
            "proxy-headers",
            WARNING,
            "all clients have the address of the proxy",
            "--forwarded-allow-ips",
        )


def test_proxies_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """As uvicorn reads it."""
    given = subject(command="uvicorn main:app --host 0.0.0.0")
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "10.0.0.7")
    with override(CHANNEL_MAX_CONNECTIONS_PER_CLIENT=10):
        assert found(given, "proxy-headers") == []
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")
    only(given, "proxy-headers", WARNING, "from every client", "--forwarded-allow-ips")


def test_a_stop_leaves_time_for_the_drain() -> None:
    with override(DRAIN_SECONDS=30):
        only(subject(), "stop-without-end", NOTE, "without a time limit", "--timeout-graceful-shutdown 10")


def test_a_limit_of_uvicorn_that_people_exceed() -> None:
    given = subject(command="uvicorn main:app --limit-concurrency 100 --workers 2", members=500)
    only(given, "concurrency-limit", ERROR, "--limit-concurrency 100", "twice .* CHANNEL_MAX_CONNECTIONS")


def test_gunicorn_without_uvicorns_worker() -> None:
    given = subject(command="gunicorn -w 4 main:app")
    only(given, "not-a-websocket-server", ERROR, "does not support ASGI", "UvicornWorker")
    given = subject(command="gunicorn --worker-class=gevent_pywsgi main:app")
    only(given, "not-a-websocket-server", ERROR, "class gevent_pywsgi does not support ASGI", "UvicornWorker")


@pytest.mark.parametrize(
    "command",
    [
        "gunicorn -k uvicorn_worker.UvicornWorker main:app",
        "gunicorn --worker-class=mysite.workers.Ours main:app",
        "gunicorn -k asgi main:app",
    ],
)
def test_gunicorn_with_workers_for_asgi(command: str) -> None:
    """Was: an error for the last two."""
    assert found(subject(command=command), "not-a-websocket-server") == []


@pytest.mark.parametrize(
    "options",
    [
        "mysite.wsgi:application -w 4",
        "mysite.wsgi -w 4",
        "mysite.wsgi -k gevent_pywsgi --workers=4",
        "-w 4 --wsgi-app=mysite.wsgi",
    ],
)
def test_gunicorn_with_a_wsgi_application(options: str, tmp_path: Path) -> None:
    """Was: an error also beside a server for the websockets, and its workers were those of the consumers."""
    asgi, check = "daphne mysite.asgi:application", "not-a-websocket-server"
    for beside in (f"gunicorn {options} & {asgi}", f"{asgi} & gunicorn {options}"):
        given = subject(command=beside, layers={"default": InMemoryChannelLayer()})
        assert found(given, check) == [] and given.workers == 1 and len(given.commands) == 2
        only(given, "memory-layer-with-workers", WARNING, "in another process", "Redis")
    only(
        subject(command=f"gunicorn {options}"), check, WARNING, "has no websockets, and no other", "beside it"
    )
    (tmp_path / "Procfile").write_text(f"web: gunicorn {options}\n")
    (tmp_path / "Dockerfile").write_text(f"CMD gunicorn {options}\n")
    twice = subject(commands=server_commands(None, tmp_path))
    only(twice, check, WARNING, "has no websockets, and no other", "beside it")
    assert twice.workers == 1 and len(twice.commands) == 2


@pytest.mark.parametrize(
    "options", ["--chdir /srv/wsgi", "--bind unix:/run/wsgi.sock", "--env WSGI=x.wsgi_settings", "-n wsgi"]
)
def test_gunicorn_with_wsgi_in_the_name_of_something_else(options: str, tmp_path: Path) -> None:
    (tmp_path / "gunicorn.conf.py").touch()
    given = subject(command=f"gunicorn {options} -w 4 main:app", folder=tmp_path)
    only(given, "not-a-websocket-server", NOTE, "does not read gunicorn.conf.py", "worker_class")
    assert given.workers == 4


def test_gunicorns_own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Was: an error."""
    (tmp_path / "gunicorn.conf.py").touch()
    for command, file in (("", "gunicorn.conf.py"), ("-c deploy/gunicorn.py", "deploy/gunicorn.py")):
        given = subject(command=f"gunicorn main:app {command}", folder=tmp_path)
        only(given, "not-a-websocket-server", NOTE, f"does not read {file}", "--workers N")
    given = subject(command="gunicorn main:app -k sync", folder=tmp_path)
    only(given, "not-a-websocket-server", ERROR, "class sync does not support ASGI", "UvicornWorker")
    monkeypatch.setenv("GUNICORN_CMD_ARGS", "--worker-class uvicorn_worker.UvicornWorker")
    given = subject(command="gunicorn main:app", folder=tmp_path)
    assert found(given, "not-a-websocket-server") == []


def test_more_sockets_than_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_checks, "_file_limit", lambda: 1024)
    only(
        subject(members=4000, named_workers=2),
        "open-files",
        WARNING,
        "1024 open files.*2000 sockets",
        "ulimit",
    )
    assert found(subject(members=900), "open-files") == []


def test_parts_in_c_that_are_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package_checks, "missing_speed", lambda: ["hiredis"])
    only(subject(), "speed-extras", NOTE, "hiredis", r"\[speed\]")
    monkeypatch.setattr(package_checks, "missing_speed", list)
    assert found(subject(), "speed-extras") == []


def test_a_check_that_fails_is_a_finding_and_the_others_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(subject: Subject) -> Iterator[Finding]:
        raise RuntimeError("no idea")
        yield

    checks: tuple[Callable[[Subject], Iterator[Finding]], ...] = (broken, *CHECKS)
    monkeypatch.setattr("compat.cli.doctor.CHECKS", checks)
    findings = list(findings_of(subject(router(Forgetful))))
    assert "this check failed: RuntimeError: no idea" in findings[0].text and findings[0].check == "broken"
    assert any(one.check == "await-forgotten" for one in findings)


def test_routes_that_never_run() -> None:
    """Was: two consumers at one path, of which the second got no connection, were no finding."""
    app = FastAPI()
    include_consumers(app, [path("a/<int:n>/", Blocking.as_asgi()), path("a/<int:n>/", Blocking.as_asgi())])
    for _ in range(2):
        app.router.add_websocket_route("/b/", Blocking.as_asgi())
    outer = Starlette(routes=[Mount("/inside", app)])
    first, second = found(subject(outer), "route-hidden")
    assert first.severity is ERROR and first.where == "/inside/b/" and second.where == "/inside/a/<int:n>/"
    assert "the second never runs" in second.text
    assert found(subject(router(Blocking, Blocking)), "route-hidden") == []
