"""Event loops, threads, processes: connections stay few, end with their loop, and are never mixed up."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from compat.layers.redis import RedisChannelLayer, RedisPubSubChannelLayer
from compat.redis.loops import Background, PerLoop, background, is_throwaway
from tests.support.layers import unique_prefix
from tests.support.paths import REPO
from tests.support.processes import child_environment
from tests.support.redis_server import RedisServer

Make = Callable[..., RedisChannelLayer]
WITHIN_S = 20.0


def script(redis_url: str, code: str, *options: str) -> str:
    """stdout of a program that was run with every warning an error; it may say nothing on stderr."""
    done = subprocess.run(
        [sys.executable, "-W", "error", *options, "-c", code, redis_url, unique_prefix()],
        cwd=REPO,
        env=child_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout


HEAD = """
import asyncio, os, sys, threading
from asgiref.sync import async_to_sync
from compat.layers.redis import RedisChannelLayer, RedisPubSubChannelLayer
layer = RedisChannelLayer(hosts=[sys.argv[1]], prefix=sys.argv[2])
pubsub = RedisPubSubChannelLayer(hosts=[sys.argv[1]], prefix=sys.argv[2])
"""


def test_a_shell_session(redis_url: str) -> None:
    """The tutorial's last step, twice in one process, then its end: nothing is left open, nothing is said."""
    out = script(
        redis_url,
        HEAD
        + """
for number in range(2):
    async_to_sync(layer.send)("test_channel", {"type": "hello", "n": number})
    print(async_to_sync(layer.receive)("test_channel"))
async_to_sync(pubsub.group_send)("room", {"type": "x"})
""",
    )
    assert out == "{'type': 'hello', 'n': 0}\n{'type': 'hello', 'n': 1}\n"


def test_the_next_process_does_not_get_what_the_last_one_got(redis_url: str) -> None:
    prefix = unique_prefix()
    code = f"""
import asyncio, sys
from compat.layers.redis import RedisChannelLayer
layer = RedisChannelLayer(hosts=[sys.argv[1]], prefix={prefix!r})
async def main():
    await layer.send("tasks", {{"type": "x"}})
    print(await layer.receive("tasks"))
    try:
        await asyncio.wait_for(layer.receive("tasks"), 0.3)
    except asyncio.TimeoutError:
        print("nothing more")
asyncio.run(main())
"""
    for _ in range(2):
        assert script(redis_url, code) == "{'type': 'x'}\nnothing more\n"


@pytest.mark.parametrize("way", ["asyncio.run", "close", "uvloop"])
def test_every_loop_takes_its_connections_along(redis_url: str, way: str) -> None:
    if way == "uvloop":
        pytest.importorskip("uvloop")
    out = script(
        redis_url,
        HEAD
        + f"way = {way!r}\n"
        + """
def run(coroutine):
    if way == "asyncio.run":
        return asyncio.run(coroutine)
    loop = asyncio.new_event_loop() if way == "close" else __import__("uvloop").new_event_loop()
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()

async def main(number):
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    await layer.group_send("room", {"type": "x", "n": number})
    other = await pubsub.new_channel()
    await pubsub.group_add("room", other)
    await pubsub.group_send("room", {"type": "x"})
    waiting = asyncio.ensure_future(layer.receive("nothing.comes"))
    print(await layer.receive(channel), await pubsub.receive(other))
    waiting.cancel()

for number in range(5):
    run(main(number))
    fds = len(os.listdir("/proc/self/fd"))
    assert number == 0 or fds <= before, (fds, before)
    before = fds
""",
    )
    assert out.count("'n'") == 5


def test_a_fork_starts_afresh(redis_url: str) -> None:
    """A layer that is used before a fork is not shared by the two: names, connections and threads are new."""
    out = script(
        redis_url,
        HEAD
        + """
first = async_to_sync(layer.new_channel)()
print(layer.client_prefix == first.split("!")[0].split(".")[1])
pid = os.fork()
channel = async_to_sync(layer.new_channel)()
async_to_sync(layer.group_add)("room", channel)
if pid == 0:
    mine = channel != first and channel.split("!")[0] != first.split("!")[0]
    async_to_sync(layer.send)(channel, {"type": "child"})
    got = async_to_sync(layer.receive)(channel)
    sys.stdout.write(f"child {mine} {got}\\n")
    sys.stdout.flush()
    os._exit(0)
os.waitpid(pid, 0)
async_to_sync(layer.send)(first, {"type": "parent"})
print(async_to_sync(layer.receive)(first))
""",
        "-W",
        "ignore::DeprecationWarning",
    )
    assert out == "True\nchild True {'type': 'child'}\n{'type': 'parent'}\n"


def test_thousands_of_sends_from_threads(redis_server: RedisServer) -> None:
    """As from a worker that knows no event loop; -W error, connections stay few."""
    out = script(
        redis_server.url,
        HEAD
        + """
import redis
wire = redis.Redis.from_url(sys.argv[1])
channel = async_to_sync(layer.new_channel)()
layer.group_add_sync("room", channel)
counts = set()
def work():
    for number in range(300):
        async_to_sync(layer.group_send)("room", {"type": "x"})
        async_to_sync(pubsub.group_send)("room", {"type": "x"})
        if number % 100 == 50:
            counts.add(len([c for c in wire.client_list()]))
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(layer.metrics.sent, max(counts) - min(counts) <= 8)  # four lines for each of two layers
wire.close()
""",
    )
    assert out == "1200 True\n"


@pytest.mark.own_redis
async def test_calls_of_one_turn_share_a_connection(make_queue: Make, wire: Any) -> None:
    layer = make_queue()
    before = (await wire.info("stats"))["total_connections_received"]
    await asyncio.gather(*(layer.send(f"plain{number}", {"type": "x"}) for number in range(100)))
    assert (await wire.info("stats"))["total_connections_received"] - before == 1


async def test_a_loop_that_does_not_run(make_queue: Make) -> None:
    layer = make_queue()
    made: list[str] = []
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=lambda: made.append(loop.run_until_complete(layer.new_channel())))
    thread.start()
    await asyncio.to_thread(thread.join)
    with pytest.raises(RuntimeError, match="Two event loops are trying to receive"):
        await layer.receive(made[0])
    await asyncio.to_thread(loop.close)
    await layer.send(made[0], {"type": "x"})
    assert await asyncio.wait_for(layer.receive(made[0]), WITHIN_S) == {"type": "x"}, (
        "a loop that has ended leaves it"
    )


def test_a_cancelled_receive_on_a_throwaway_loop_loses_nothing(redis_url: str) -> None:
    layer = RedisChannelLayer(hosts=[redis_url], prefix=unique_prefix())

    async def try_for(seconds: float) -> Any:
        assert is_throwaway(asyncio.get_running_loop())
        return await asyncio.wait_for(layer.receive("tasks"), seconds)

    got = []
    for number in range(20):
        sender = threading.Timer(0.01, layer.send_sync, ("tasks", {"type": "x", "n": number}))
        sender.start()
        try:
            got.append(async_to_sync(try_for)(0.005 + 0.001 * number)["n"])
        except asyncio.TimeoutError:
            pass
        sender.join()
    while len(got) < 20:
        got.append(async_to_sync(try_for)(WITHIN_S)["n"])
    assert sorted(got) == list(range(20))


def test_the_background_loop_ends_and_starts_again() -> None:
    own = Background()

    async def where() -> str:
        return threading.current_thread().name

    assert own.submit(where()).result() == own.submit(where()).result() == "compat-layers"
    first = own.loop
    own.stop()
    assert first.is_closed()
    own.stop()
    assert own.submit(where()).result() == "compat-layers" and own.loop is not first
    own.stop()


async def test_one_object_per_loop() -> None:
    class Kept:
        closed = False

        async def aclose(self) -> None:
            self.closed = True

    kept: PerLoop[Kept] = PerLoop(lambda loop: Kept())
    here = asyncio.get_running_loop()
    mine = kept.get(here)
    assert kept.get(here) is mine

    def other() -> tuple[Kept, bool]:
        loop = asyncio.new_event_loop()
        made = kept.get(loop)
        open_before = made.closed
        loop.close()
        return made, open_before

    made, open_before = await asyncio.to_thread(other)
    assert made is not mine and not open_before and made.closed
    assert kept.all() == [mine]
    assert not is_throwaway(here)


async def test_a_loop_closed_while_another_runs() -> None:
    """It cannot run to say goodbye; it is closed all the same."""

    class Kept:
        async def aclose(self) -> None:
            raise AssertionError("must not be awaited")

    kept: PerLoop[Kept] = PerLoop(lambda loop: Kept())
    loop = asyncio.new_event_loop()
    kept.get(loop)
    loop.close()
    assert loop.is_closed()


def test_names_differ_between_pubsub_loops(redis_url: str) -> None:
    layer = RedisPubSubChannelLayer(hosts=[redis_url], prefix=unique_prefix())
    channel = async_to_sync(layer.new_channel)()
    async_to_sync(layer.send)(channel, {"type": "x"})
    assert async_to_sync(layer.receive)(channel) == {"type": "x"}
    assert background.loop.is_running() and os.getpid() and time.time()
    async_to_sync(layer.flush)()
    assert layer.channels == {} and layer.groups == {}
