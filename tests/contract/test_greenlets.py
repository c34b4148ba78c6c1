"""Workers whose threads are greenlets: gunicorn with gevent or eventlet, Celery with ``--pool gevent``."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.choices import slow_but
from tests.support.layers import unique_prefix

SCRIPT = """
{patch}
import asyncio, sys, threading, time

if {without_uvloop}:
    sys.modules["uvloop"] = None
from asgiref.sync import async_to_sync
from compat.layers import get_channel_layer
from compat.manager import ConnectionManager
from compat.resume.logouts import logged_out
from compat.settings import configure

entry = {{"BACKEND": "compat.layers.redis.{layer}", "CONFIG": {{"hosts": ["{url}"], "prefix": "{prefix}"}}}}
configure(CHANNEL_LAYERS={{"default": entry}})
layer = get_channel_layer()
turns = []


def other():
    while len(turns) < 1000:
        turns.append(1)
        time.sleep(0.001)


def sends():
    for _ in range(3):
        layer.group_send_sync("room", {{"type": "hello"}})
        logged_out("a key")
        assert asyncio._get_running_loop() is None, "a loop runs in this greenlet"


threading.Thread(target=other, daemon=True).start()
senders = [threading.Thread(target=sends) for _ in range(3)]
for sender in senders:
    sender.start()
for sender in senders:
    sender.join()
time.sleep(0.2)  # nothing is under way
assert ConnectionManager().count_connections_sync() == 0
sends()
channel = async_to_sync(layer.new_channel)()
layer.send_sync(channel, {{"type": "hello"}})
assert async_to_sync(layer.receive)(channel) == {{"type": "hello"}}
print("done", bool(turns))
"""
PATCHES = {
    "gevent": "from gevent import monkey; monkey.patch_all()",
    "eventlet": "import eventlet; eventlet.monkey_patch()",
}
LAYERS = slow_but(("RedisChannelLayer",), ["RedisChannelLayer", "RedisPubSubChannelLayer"])


@pytest.mark.parametrize("without_uvloop", slow_but((False,), [False, True]), ids=["uvloop", "asyncio"])
@pytest.mark.parametrize("patch", PATCHES)
@pytest.mark.parametrize("layer", LAYERS)
def test_the_blocking_forms(layer: str, patch: str, without_uvloop: bool, redis_url: str) -> None:
    """Was: the background loop counted as running in each greenlet, or held up all of them."""
    script = SCRIPT.format(
        patch=PATCHES[patch],
        without_uvloop=without_uvloop,
        layer=layer,
        url=redis_url,
        prefix=unique_prefix(),
    )
    command = (sys.executable, "-W", "ignore", "-c", script)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "done True\n", done.stderr
    assert not done.returncode and not done.stderr
