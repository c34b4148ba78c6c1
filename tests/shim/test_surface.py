"""Every name of the real packages is a name of the mirrors, or is listed here with the reason why not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.shim.running import SHIMMED, run_code
from tests.support.environments import environment, in_each

SETUP = """
import django
from django.conf import settings
settings.configure(
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions",
                    "django.contrib.staticfiles", "channels"],
    CHANNEL_LAYERS={}, ALLOWED_HOSTS=[],
)
django.setup()
"""

REEXPORTED = {
    "channels.auth:constant_time_compare",
    "channels.auth:get_user_model",
    "channels.auth:load_backend",
    "channels.auth:user_logged_in",
    "channels.auth:user_logged_out",
    "channels.consumer:async_to_sync",
    "channels.db:close_old_connections",
    "channels.db:sync_to_async",
    "channels.generic.websocket:async_to_sync",
    "channels.layers:time",
    "channels.sessions:import_module",
    "channels.testing.live:DaphneProcess",
    "channels.testing.live:TransactionTestCase",
}
"""Somebody else's names that projects import from Channels, or patch there."""

ABSENT = {
    "channels.auth:_get_user_session_key": "a private helper of get_user(); there is no such step here",
    "channels.testing.application:no_op": "upstream's stand-in for close_old_connections",
    "channels.layers:BaseChannelLayer.channel_name_regex": "the rules are functions in compat.names",
    "channels.layers:BaseChannelLayer.group_name_regex": "the same",
    "channels_redis.core:BoundedQueue": "part of upstream's receive(); ours is compat.engine.inbox",
    "channels_redis.core:ChannelLock": "part of upstream's receive(); a reader per loop needs no lock",
    "channels_redis.core:RedisChannelLayer.receive_single": "part of upstream's receive()",
    "channels_redis.pubsub:_async_proxy": "a private helper of upstream's outer layer",
}
"""``module:name`` (with the members of a class) or ``module:Class.member`` to the reason."""

NEED_DJANGO = (
    "channels.auth:constant_time_compare",
    "channels.auth:get_user_model",
    "channels.auth:load_backend",
    "channels.auth:user_logged_in",
    "channels.auth:user_logged_out",
    "channels.testing:ChannelsLiveServerTestCase",
    "channels.testing.live:ChannelsLiveServerTestCase",
    "channels.testing.live:DaphneProcess",
    "channels.testing.live:TEST_DATABASE_PREFIX",
    "channels.testing.live:TransactionTestCase",
    "channels.testing.live:set_database_connection",
)
"""What is absent where Django is: the subset has no databases."""


@pytest.fixture(scope="module")
def upstream(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What the real packages have."""
    script = Path(__file__).with_name("surface.py")
    code = f"{SETUP}\nimport runpy\nrunpy.run_path({str(script)!r}, run_name='__main__')"
    folder = tmp_path_factory.mktemp("upstream")
    found: dict[str, dict[str, Any]] = json.loads(run_code(environment("channels"), code, folder, {}))
    assert found["channels.layers"] and found["channels_redis.core"]
    return found


def wanted(upstream: dict[str, dict[str, Any]]) -> list[str]:
    """``module:name`` and ``module:Class.member`` of all that upstream defines, wherever it passes it on."""
    names = sorted(REEXPORTED)
    for module, entries in upstream.items():
        for name, entry in entries.items():
            if entry["kind"] == "own":
                names.append(f"{module}:{name}")
                names += [f"{module}:{name}.{member}" for member in entry["members"]]
    return names


@pytest.mark.parametrize("name", in_each())
def test_every_name_of_the_real_packages_is_there(
    upstream: dict[str, dict[str, Any]], name: str, tmp_path: Path
) -> None:
    excused = tuple(ABSENT) + (NEED_DJANGO if name == "bare" else ())
    asked = [entry for entry in wanted(upstream) if not entry.startswith(excused)]
    (tmp_path / "asked.json").write_text(json.dumps(asked), encoding="utf-8")
    code = (
        SETUP * (name != "bare")
        + """
import importlib, json
missing = []
for entry in json.load(open("asked.json")):
    module, _, path = entry.partition(":")
    try:
        value = importlib.import_module(module)
        for part in path.split("."):
            value = getattr(value, part)
    except (ImportError, AttributeError) as error:
        missing.append(f"{entry}  ({error})")
print("\\n".join(missing))
"""
    )
    missing = run_code(environment(name), code, tmp_path, SHIMMED).strip()
    assert not missing, f"missing without a reason:\n{missing}"


def test_every_excuse_is_for_something(upstream: dict[str, dict[str, Any]]) -> None:
    assert set(wanted(upstream)) >= set(ABSENT)
