"""Settings that are wrong are noticed when the server starts, and not by the first client."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI

from compat.cli.development import Plan, prepare
from compat.configured import CHECKS, faults, misspelt
from compat.exceptions import ImproperlyConfigured
from compat.fastapi import lifespan, open_layers
from compat.settings import DEFAULTS, Settings, override

WRONG: dict[str, list[Any]] = {
    "ALLOWED_HOSTS": [[3], 3, ["a.example", None]],
    "CHANNEL_FALLBACK": ["maybe"],
    "CHANNEL_FAST": [["scheduling", "brige"]],
    "CHANNEL_GC": ["x"],
    "CHANNEL_HANDSHAKE_SECONDS": [None, "abc", -1, float("nan")],
    "CHANNEL_HEARTBEAT": ["30", 0],
    "CHANNEL_IDLE_TIMEOUT": ["60", True],
    "CHANNEL_LOG_JSON": ["False"],
    "CHANNEL_MAX_CONNECTIONS": ["5", -1, float("nan")],
    "CHANNEL_MAX_CONNECTIONS_PER_CLIENT": ["x"],
    "CHANNEL_MAX_CONNECTIONS_PER_USER": [0],
    "CHANNEL_MAX_MESSAGES_PER_SECOND": ["5"],
    "CHANNEL_MAX_MESSAGE_SIZE": ["1000"],
    "CHANNEL_ORIGIN_CHECK": ["False"],
    "CHANNEL_READY_SECONDS": [None],
    "CHANNEL_RESUME_SECONDS": [-5, None],
    "CHANNEL_THREADS": ["24", -1, 1.5],
    "CHANNEL_UNKNOWN_MESSAGE": ["ignored", None],
    "DRAIN_SECONDS": ["10", float("nan")],
    "SECRET_KEY_FALLBACKS": ["the old key", b"the old key"],
}
EACH = [(name, value) for name, values in WRONG.items() for value in values]


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in DEFAULTS:
        monkeypatch.delenv(name, raising=False)


def test_every_setting_of_ours_is_checked() -> None:
    ours = {name for name in DEFAULTS if name.startswith("CHANNEL_")} - {"CHANNEL_LAYERS"}
    assert ours <= set(CHECKS) == set(WRONG)


def test_the_defaults_are_right() -> None:
    with override(**{name: DEFAULTS[name] for name in CHECKS}):
        assert list(faults()) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALLOWED_HOSTS", "a.example"),
        ("ALLOWED_HOSTS", None),
        ("ALLOWED_HOSTS", ("a.example",)),
        ("CHANNEL_FAST", "scheduling,bridge"),
        ("CHANNEL_HANDSHAKE_SECONDS", 0),
        ("CHANNEL_MAX_MESSAGE_SIZE", 0.5),
        ("CHANNEL_ORIGIN_CHECK", None),
        ("CHANNEL_RESUME_SECONDS", "120"),
        ("CHANNEL_THREADS", 0),
    ],
)
def test_right_values(name: str, value: Any) -> None:
    with override(**{name: value}):
        assert list(faults()) == []


@pytest.mark.parametrize(("name", "value"), EACH)
async def test_a_wrong_value_ends_the_start(name: str, value: Any) -> None:
    with override(CHANNEL_LAYERS={}, **{name: value}), pytest.raises(ImproperlyConfigured, match=name):
        async with open_layers():
            pytest.fail("it has started")


async def test_all_that_is_wrong_is_said_at_once() -> None:
    wrong: dict[str, Any] = {"CHANNEL_THREADS": "24", "CHANNEL_IDLE_TIMEOUT": "60"}
    with (
        override(CHANNEL_LAYERS={}, **wrong),
        pytest.raises(ImproperlyConfigured, match=r"IDLE_TIMEOUT.*'60'; CHANNEL_THREADS.*'24'"),
    ):
        async with lifespan(FastAPI()):
            pytest.fail("it has started")


def _loaded(name: str) -> object:
    return object()


def test_the_development_server_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan("a:b", f"{__name__}:_loaded", "http://127.0.0.1/", False, 1)
    with override(CHANNEL_LAYERS={}, CHANNEL_FALLBACK=False):
        prepare(plan)
    with (
        override(CHANNEL_LAYERS={}, CHANNEL_FALLBACK=False, CHANNEL_HEARTBEAT="30"),
        pytest.raises(ImproperlyConfigured, match="CHANNEL_HEARTBEAT"),
    ):
        prepare(plan)


@pytest.mark.parametrize("name", ["CHANEL_LAYERS", "CHANNEL_LAYER", "CHANNELS_LAYERS"])
def test_a_slip_of_the_pen(name: str) -> None:
    with override(**{name: {}}):
        assert list(misspelt()) == [(name, "CHANNEL_LAYERS")]


def test_a_slip_in_any_setting() -> None:
    with override(DRAIN_SECOND=5, SECRETKEY="x", SESSION_COOKIE_SAME_SITE="Lax"):
        assert [near for _, near in misspelt()] == ["DRAIN_SECONDS", "SECRET_KEY", "SESSION_COOKIE_SAMESITE"]


@pytest.mark.parametrize(
    "name", ["CHANX", "WSGI_APPLICATION", "CSRF_COOKIE_AGE", "CHAT_LAYOUT", "S3_SECRET_KEY"]
)
def test_other_names_are_somebody_elses(name: str) -> None:
    with override(**{name: {}}):
        assert list(misspelt()) == []


@pytest.mark.parametrize("how", [Settings.configure, lambda own, **values: own.add_source(_of(values))])
def test_names_of_every_source(how: Callable[..., None]) -> None:
    own = Settings()
    how(own, CHATS=1)
    with own.override(ROOMS=2):
        assert {"CHATS", "ROOMS"} <= own.names()
    assert "ROOMS" not in own.names()


def _of(values: dict[str, Any]) -> Callable[[], object]:
    return lambda: SimpleNamespace(**values)
