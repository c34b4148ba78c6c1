"""Fixtures that any test may ask for: Redis, environments, the tutorial, a browser."""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, settings

from compat import metrics
from compat.settings import DEFAULTS
from tests.support import watch
from tests.support.browser import Browser, browser
from tests.support.environments import Environment, environment, in_each, watch_processes_of
from tests.support.last_use import last_uses
from tests.support.paths import NO_MATERIAL
from tests.support.patience import be_patient
from tests.support.redis_cluster import end_shared_cluster
from tests.support.redis_server import RedisServer
from tests.support.tutorial import Tutorial

# Hypothesis takes the same examples each time, however busy the machine is; `make test-all` takes others.
settings.register_profile("other", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", settings.get_profile("other"), derandomize=True)
settings.load_profile("same")

be_patient()

# A shell without job control starts `make test &` with Ctrl-C ignored, and servers would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_numbers = itertools.count(1)


def pytest_sessionstart() -> None:
    """Also where no test asks for an environment: this one's processes are watched."""
    watch_processes_of(Path(sys.prefix))


def pytest_collection_finish(session: pytest.Session) -> None:
    last_uses.find(session.items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    yield
    last_uses.over(item)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end how many tests were skipped because the acceptance material is not there."""
    skipped = terminalreporter.stats.get("skipped", ())
    missing = sum(NO_MATERIAL in str(report.longrepr) for report in skipped)
    if missing:
        terminalreporter.write_line(
            f"{missing} tests were skipped: {NO_MATERIAL}, not part of the repository: a folder `shared`"
            " beside it, or the one that COMPAT_SHARED names. All other tests need nothing but the checkout."
        )


@pytest.fixture(autouse=True)
def open_on_purpose(monkeypatch: pytest.MonkeyPatch) -> None:
    """No warning of consumers without an Origin check; tests/unit/security/test_origin.py is about that."""
    values = {**DEFAULTS, "CHANNEL_ORIGIN_CHECK": False}
    monkeypatch.setattr(sys.modules["compat.settings"], "DEFAULTS", values)


@pytest.fixture(autouse=True)
def imports_as_they_were() -> Iterator[None]:
    """No test leaves the shim in charge of imports: the next would be told that Django is here."""
    before = _finders_of_the_shim()
    yield
    assert before or not _finders_of_the_shim(), "the shim is in sys.meta_path still"


@pytest.fixture(scope="module", autouse=True)
def no_consumer_is_left() -> Iterator[None]:
    """Consumers end with the loops of their tests, or with a server that a whole module uses."""
    before = metrics.connections.current
    yield
    left = metrics.connections.current - before
    assert left <= 0, f"{left} consumers still run, so that otel.instrument() would refuse from now on"


@pytest.fixture(autouse=True)
def loops_are_not_held(request: pytest.FixtureRequest) -> Iterator[None]:
    """No callback holds a server's event loop for 100 ms, but in a test that is marked ``holds_the_loop``."""
    yield
    found = watch.collect()
    if request.node.get_closest_marker("holds_the_loop") is None:
        assert not found, "\n".join(found)


def _finders_of_the_shim() -> list[object]:
    return [one for one in sys.meta_path if str(getattr(one, "__module__", "")).startswith("django_shim")]


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis that the whole run shares: REDIS_URL, or our own server. Use names that no other test uses."""
    if os.environ.get("REDIS_URL"):
        yield os.environ["REDIS_URL"]
        return
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server.url
    server.stop()


@pytest.fixture(scope="session", autouse=True)
def this_process_reports_nothing() -> None:
    """Its counters are not among what a test finds in Redis, though something here imports compat.fleet."""
    reporting = ("compat.fleet", "compat.live.asking")
    metrics._at_start[:] = [call for call in metrics._at_start if call.__module__ not in reporting]
    report_start = metrics.report_start

    def but_for_reports(call: Callable[[], object]) -> None:
        """What is imported later."""
        if call.__module__ not in reporting:
            report_start(call)

    metrics.report_start = but_for_reports


@pytest.fixture(scope="session", autouse=True)
def the_shared_cluster_ends() -> Iterator[None]:
    yield
    end_shared_cluster()


@pytest.fixture(scope="session")
def redis_port(redis_url: str) -> int:
    """The shared Redis as the tutorial's settings name it: a port of 127.0.0.1."""
    parts = urlsplit(redis_url)
    if parts.hostname not in ("127.0.0.1", "localhost"):
        pytest.skip("the tutorial's Redis is on 127.0.0.1; REDIS_URL names another machine")
    return parts.port or 6379


@pytest.fixture
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis for this test alone, to be killed, paused and restarted."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture(scope="session", params=in_each())
def env(request: pytest.FixtureRequest) -> Environment:
    """Each environment in turn: without Django, with it, with the real Channels beside it."""
    return environment(request.param)


@pytest.fixture(scope="session")
def bare() -> Environment:
    """The environment that has neither Django nor Channels."""
    return environment("bare")


@pytest.fixture(scope="session")
def tutorial(tmp_path_factory: pytest.TempPathFactory) -> Tutorial:
    """Lays the Channels tutorial out: `tutorial.project(step=…, layer=…, redis_port=…)` is a folder."""
    return Tutorial(tmp_path_factory.mktemp("tutorial"))


@pytest.fixture(scope="session")
def free_name() -> Callable[[], str]:
    """Names that no other test of this run has used: for rooms and groups on a shared Redis."""
    return lambda: f"room{os.getpid()}x{next(_numbers)}"


@pytest.fixture(scope="session")
def chromium(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for the whole run; a test opens the windows it needs and closes them."""
    with last_uses.until_last(request) as stack:
        yield stack.enter_context(browser(tmp_path_factory.mktemp("chromium")))
