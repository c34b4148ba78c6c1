"""The worker command: a process that handles what is sent to channels by name."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from tests.support.environments import Environment
from tests.support.processes import UNCOVERED, Process
from tests.support.waiting import until

APPLICATION = """
import time
from pathlib import Path
from compat.consumer import SyncConsumer
from compat.routing import ChannelNameRouter, ProtocolTypeRouter
from starlette.applications import Starlette


class Printer(SyncConsumer):
    def printer_print(self, message):
        print("printed", message["text"], flush=True)

    def printer_jam(self, message):
        raise RuntimeError("paper jam")

    def printer_warm(self, message):
        print("warming up", flush=True)
        while not Path("warm").exists():
            time.sleep(0.01)
        print("warm", flush=True)


application = ProtocolTypeRouter({"channel": ChannelNameRouter({"CHANNEL": Printer.as_asgi()})})
without = ProtocolTypeRouter({"websocket": Printer.as_asgi()})
app = Starlette()
other = ProtocolTypeRouter({"channel": ChannelNameRouter({"thumbnails": Printer.as_asgi()})})
"""

SETTINGS = """
CHANNEL_LAYERS = {
    "default": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": ["REDIS"]}},
    "local": {"BACKEND": "channels.layers.InMemoryChannelLayer"},
    "other": {"BACKEND": "nobody.has.IT"},
}
ASGI_APPLICATION = "work_app.application"
"""

SEND = """
import sys
from compat.layers import get_channel_layer
for text in sys.argv[2:]:
    kind = {"jam": "printer.jam", "warm": "printer.warm"}.get(text, "printer.print")
    get_channel_layer().send_sync(sys.argv[1], {"type": kind, "text": text})
"""


@pytest.fixture
def channel(tmp_path: Path, redis_url: str, free_name: Callable[[], str]) -> str:
    """A project in ``tmp_path`` with a consumer on a channel of this name."""
    name = free_name()
    (tmp_path / "work_app.py").write_text(APPLICATION.replace("CHANNEL", name), encoding="utf-8")
    (tmp_path / "work_settings.py").write_text(SETTINGS.replace("REDIS", redis_url), encoding="utf-8")
    return name


ENV = {"COMPAT_SETTINGS_MODULE": "work_settings"}


def run(bare: Environment, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return bare.run("channels-compat", "worker", *arguments, cwd=folder, env=ENV)


def send(bare: Environment, folder: Path, *arguments: str) -> None:
    sent = bare.run("python", "-c", SEND, *arguments, cwd=folder, env=ENV)
    assert (sent.returncode, sent.stderr) == (0, "")


def test_it_handles_what_another_process_sends_and_survives_a_consumer_that_raises(
    bare: Environment, tmp_path: Path, channel: str
) -> None:
    command = [bare.path("channels-compat"), "worker", channel]
    with Process(command, cwd=tmp_path, log=tmp_path / "worker.log", env=ENV) as process:
        first = process.wait_log("Ctrl-C")
        assert first.startswith(f"Working on {channel} for work_app:application, layer default: Redis")
        send(bare, tmp_path, channel, "jam")
        process.wait_log("RuntimeError: paper jam")
        send(bare, tmp_path, channel, "one", "two")
        log = process.wait_log("printed two")
        assert log.index("printed one") < log.index("printed two")
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0
        assert log.count("Traceback") == 1, "that of the consumer"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=str)
def test_a_worker_that_is_stopped_finishes_its_job_and_leaves_the_others_in_order(
    bare: Environment, tmp_path: Path, channel: str, number: signal.Signals, redis_url: str
) -> None:
    """Also those that waited in it: it had taken ten and more, which nobody else could have."""
    command = [bare.path("channels-compat"), "worker", channel]
    jobs = [f"job {n}" for n in range(40)]
    send(bare, tmp_path, channel, "warm", *jobs)
    with redis.Redis.from_url(redis_url) as wire:
        with Process(command, cwd=tmp_path, log=tmp_path / "one.log", env={**ENV, **UNCOVERED}) as process:
            process.wait_log("warming up")
            until(lambda: wire.zcard(f"asgi{channel}") < 31, "it has taken some ahead")
            process.send_signal(number)
            until(lambda: wire.zcard(f"asgi{channel}") == len(jobs), "they are back, while its job goes on")
            (tmp_path / "warm").touch()
            assert process.wait() == 0
            log = process.log()
            assert "\nwarm\n" in log and "printed" not in log and "Traceback" not in log
        assert wire.keys(f"asgi{channel}*") == [f"asgi{channel}".encode()], "nothing is in flight"
    with Process(command, cwd=tmp_path, log=tmp_path / "two.log", env=ENV) as process:
        lines = process.wait_log("printed job 39").splitlines()
        assert [line for line in lines if line.startswith("printed")] == [f"printed {job}" for job in jobs]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--layer", "local"], "layer 'local' is in memory: other processes cannot send"),
        (["--layer", "nowhere"], "no layer 'nowhere'; configured: 'default', 'local', 'other'"),
        (["--app", "work_app:without"], 'Add one: ProtocolTypeRouter({..., "channel": ChannelNameRouter('),
        (
            ["--app", "work_app:app"],
            "work_app:app: a Starlette application takes no messages of channels. Write",
        ),
        (["thumbnail", "--app", "work_app:other"], "; there are 'thumbnails'. "),
    ],
)
def test_what_could_never_work_is_an_error_at_start(
    bare: Environment, tmp_path: Path, channel: str, arguments: list[str], text: str
) -> None:
    failed = run(bare, tmp_path, channel, *arguments)
    assert failed.returncode == 1
    assert text in failed.stderr
    assert "Traceback" not in failed.stderr


def test_a_channel_must_be_named(bare: Environment, tmp_path: Path, channel: str) -> None:
    assert run(bare, tmp_path).returncode == 2
