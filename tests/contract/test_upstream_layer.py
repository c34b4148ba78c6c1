"""The real channels_redis as a backend, for who insists on it: ``"UPSTREAM": True`` beside its BACKEND.

Runs where the extra [channels-redis] is installed: our consumers there, behind the pump; and the contract.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from compat.exceptions import InvalidChannelLayerError
from compat.layers import get_channel_layer
from compat.settings import override
from tests.support.environments import environment
from tests.support.layers import unique_prefix
from tests.support.paths import REPO

PROGRAM = """
import asyncio, inspect, sys
from compat.generic.websocket import AsyncJsonWebsocketConsumer
from compat.layers import PushLayer, get_channel_layer
from compat.settings import configure
from compat.testing.websocket import WebsocketCommunicator

path, url, prefix = sys.argv[1:]
entry = {"BACKEND": path, "CONFIG": {"hosts": [url + "?socket_timeout=30"], "prefix": prefix}}
configure(CHANNEL_LAYERS={"default": {**entry, "UPSTREAM": True}, "ours": entry})

class Member(AsyncJsonWebsocketConsumer):
    groups = ["members"]
    async def receive_json(self, content, **kwargs):
        await self.channel_layer.group_send("members", {"type": "said", "what": content})
    async def said(self, event):
        await self.send_json(event["what"])

class OurMember(Member):
    channel_layer_alias = "ours"

async def main():
    layer, ours = get_channel_layer(), get_channel_layer("ours")
    print(type(layer).__module__, type(ours).__module__, isinstance(layer, PushLayer))
    assert "site-packages/channels_redis/" in inspect.getfile(type(layer)), inspect.getfile(type(layer))
    members = [WebsocketCommunicator(cls.as_asgi(), "/") for cls in (Member, OurMember, Member)]
    for member in members:
        assert (await member.connect(timeout=20))[0]
    for number in range(9):
        await members[number % 3].send_json_to(number)
        for member in members:
            assert await member.receive_json_from(timeout=20) == number
    for member in members:
        await member.disconnect(timeout=20)
    await layer.flush()
    await ours.flush()
    print("fine")

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.parametrize("module", ["core", "pubsub"])
@pytest.mark.parametrize("way", ["alone", "with the shim"])
def test_the_real_one_behind_the_pump(module: str, way: str, redis_url: str, tmp_path: Path) -> None:
    """Also where the shim has taken the package's name over: then ours and the real one are side by side."""
    name = {"core": "RedisChannelLayer", "pubsub": "RedisPubSubChannelLayer"}[module]
    path = f"channels_redis.{module}.{name}"
    launcher = ["django-shim"] if way == "with the shim" else []
    command = [*launcher, "python", "-W", "error", "-c", PROGRAM, path, redis_url, unique_prefix()]
    done = environment("upstream").run(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [
        f"channels_redis{'_upstream' if launcher else ''}.{module}",
        f"compat.layers.redis.{module}",
        "False",
        "fine",
    ]
    assert not unexpected(done.stderr)


def unexpected(stderr: str) -> list[str]:
    """What was said but the launcher's line that ours stands in for the installed Channels."""
    return [line for line in stderr.splitlines() if not line.startswith("django-shim: channels ")]


SIDE_BY_SIDE = """
import channels.exceptions, channels.layers, channels_redis.core, compat.exceptions, sys
from compat.layers import channel_layers
from compat.settings import configure

path = "channels_redis.core.RedisChannelLayer"
configure(CHANNEL_LAYERS={"real": {"BACKEND": path, "UPSTREAM": True}, "ours": {"BACKEND": path}})
real, ours = type(channel_layers["real"]), type(channel_layers["ours"])
assert channels_redis.core.RedisChannelLayer is ours is not real
assert issubclass(real, channels.layers.BaseChannelLayer)
assert sys.modules[real.__module__].ChannelFull is compat.exceptions.ChannelFull
assert type(channel_layers.make_backend("real")) is real, "loaded once"
assert "django" not in sys.modules
"""


def test_under_the_shim_its_base_and_its_errors_are_ours(tmp_path: Path) -> None:
    done = environment("channels").run("django-shim", "python", "-c", SIDE_BY_SIDE, cwd=tmp_path)
    assert done.returncode == 0 and not unexpected(done.stderr), done.stderr


@pytest.mark.slow
@pytest.mark.timeout(420)
def test_the_contract(redis_url: str) -> None:
    """The same tests as for every other layer, in a process that has the real one."""
    command = ["python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "upstream"]
    done = environment("upstream").run(
        *command, "tests/contract/test_layers.py", cwd=REPO, env={"REDIS_URL": redis_url}, deadline_s=400
    )
    assert done.returncode == 0, done.stdout
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed and int(passed[1]) >= 35, done.stdout


@pytest.mark.parametrize(
    "path", ["channels_redis.core.RedisChannelLayer", "channels.layers.InMemoryChannelLayer"]
)
def test_the_package_is_not_installed(path: str) -> None:
    package = path.partition(".")[0]
    extra = "'channels-compat[channels-redis]'" if package == "channels_redis" else package
    with override(CHANNEL_LAYERS={"default": {"BACKEND": path, "UPSTREAM": True}}):
        with pytest.raises(InvalidChannelLayerError) as caught:
            get_channel_layer()
    text = str(caught.value)
    assert f"{package} is not installed. Install it: pip install {extra}" in text
    assert "CHANNEL_LAYERS['default']" in text and 'take "UPSTREAM" out' in text


def test_what_else_may_be_wrong() -> None:
    entry = {"BACKEND": "channels_redis.core.RedisChannelLayer"}
    with override(CHANNEL_LAYERS={"default": {**entry, "UPSTREAM": "yes"}}):
        with pytest.raises(InvalidChannelLayerError, match=r"\['UPSTREAM'\] must be True .*False, not 'yes'"):
            get_channel_layer()
    with override(CHANNEL_LAYERS={"default": {"BACKEND": "compat.layers.NoSuchLayer", "UPSTREAM": True}}):
        with pytest.raises(InvalidChannelLayerError, match=r"cannot be imported from it .*NoSuchLayer"):
            get_channel_layer()
    with override(CHANNEL_LAYERS={"default": {**entry, "UPSTREAM": False}}):
        assert type(get_channel_layer()).__module__ == "compat.layers.redis.core"
