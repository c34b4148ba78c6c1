"""Mirrors: every name of Channels is one object under two paths, whoever reads, patches or pickles it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.shim.running import SHIMMED, run_code, write
from tests.support.environments import Environment, environment


def test_reading_writing_and_deleting_reach_the_target(bare: Environment, tmp_path: Path) -> None:
    code = """
import channels.layers, compat.layers
assert channels.layers.get_channel_layer is compat.layers.get_channel_layer
channels.layers.extra = 1
assert compat.layers.extra == 1 and "extra" not in vars(channels.layers)
del channels.layers.extra
assert not hasattr(compat.layers, "extra")
compat.layers.extra = 2
assert channels.layers.extra == 2
"""
    run_code(bare, code, tmp_path)


def test_what_replaces_a_name_may_be_set_back_or_deleted(bare: Environment, tmp_path: Path) -> None:
    """pytest's ``monkeypatch`` deletes what it has set, because the name is not in the mirror's dict."""
    code = """
from unittest import mock
import channels.layers, compat.layers

shipped = compat.layers.get_channel_layer
channels.layers.get_channel_layer = first = object()
channels.layers.get_channel_layer = second = object()
del channels.layers.get_channel_layer
assert compat.layers.get_channel_layer is first
with mock.patch("channels.layers.get_channel_layer") as inner:
    assert compat.layers.get_channel_layer is inner
assert compat.layers.get_channel_layer is first
channels.layers.get_channel_layer = shipped  # as older versions of pytest do
with mock.patch("channels.layers.get_channel_layer"):
    pass
assert compat.layers.get_channel_layer is shipped
del channels.layers.get_channel_layer, channels.layers.get_channel_layer
assert compat.layers.get_channel_layer is shipped
del channels.layers.get_channel_layer
assert not hasattr(compat.layers, "get_channel_layer")
"""
    run_code(bare, code, tmp_path)


@pytest.mark.parametrize("path", ["channels.layers.get_channel_layer", "channels.layers.time"])
def test_monkeypatch_is_undone(bare: Environment, tmp_path: Path, path: str) -> None:
    code = f"""
import pytest
import channels.layers
before = {path}
for _ in range(2):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr({path!r}, 1)
        patch.setattr({path!r}, 2)
        assert {path} == 2
    assert {path} is before
"""
    run_code(bare, code, tmp_path)


def test_what_was_set_before_a_reload_is_undone_after_it(bare: Environment, tmp_path: Path) -> None:
    code = """
import importlib
import pytest
import channels.layers
before = channels.layers.get_channel_layer
with pytest.MonkeyPatch.context() as patch:
    patch.setattr("channels.layers.get_channel_layer", 1)
    importlib.reload(channels.layers)
assert channels.layers.get_channel_layer is before
"""
    run_code(bare, code, tmp_path)


def test_a_replaced_module_is_the_mirrors_own(bare: Environment, tmp_path: Path) -> None:
    """Was: our module was replaced instead, and stayed so."""
    code = """
import sys
from unittest import mock
import pytest
import channels.layers, compat.layers, compat.testing

for name in ("layers", "testing"):
    path, target = f"channels.{name}", getattr(compat, name)
    with mock.patch(path) as fake:
        assert getattr(channels, name) is fake and getattr(compat, name) is target
    assert getattr(channels, name) is sys.modules[path] and getattr(compat, name) is target
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(path, fake)
        assert getattr(channels, name) is fake and getattr(compat, name) is target
    assert getattr(channels, name) is sys.modules[path] and getattr(compat, name) is target
"""
    run_code(bare, code, tmp_path)


@pytest.mark.parametrize(
    "patched", ["channels.consumer.get_channel_layer", "compat.consumer.get_channel_layer"]
)
def test_mock_patch_of_either_path_is_seen_by_consumers_and_undone(
    bare: Environment, tmp_path: Path, patched: str
) -> None:
    code = f"""
import asyncio
from unittest import mock
import channels.consumer, compat.consumer
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.testing import WebsocketCommunicator

before = compat.consumer.get_channel_layer
seen = []

class Consumer(AsyncWebsocketConsumer):
    async def connect(self):
        seen.append(self.channel_layer)
        await self.accept()

async def main():
    communicator = WebsocketCommunicator(Consumer.as_asgi(), "/")
    await communicator.connect()
    await communicator.disconnect()

with mock.patch({patched!r}, return_value=None) as fake:
    assert channels.consumer.get_channel_layer is compat.consumer.get_channel_layer is fake
    asyncio.run(main())
assert fake.called and seen == [None], (fake.called, seen)
assert channels.consumer.get_channel_layer is compat.consumer.get_channel_layer is before
"""
    run_code(bare, code, tmp_path)


def test_a_patched_import_of_the_session_engine_is_seen(bare: Environment, tmp_path: Path) -> None:
    code = """
from unittest import mock
import channels.sessions
from compat.settings import override

with override(SESSION_ENGINE="mysite.engine"), mock.patch("channels.sessions.import_module") as found:
    wrapper = channels.sessions.InstanceSessionWrapper({"cookies": {}}, None)
found.assert_called_once_with("mysite.engine")
assert wrapper.session_store is found.return_value.SessionStore
"""
    run_code(bare, code, tmp_path)


def test_names_of_the_real_django_say_so_without_it(bare: Environment, tmp_path: Path) -> None:
    """A patch of them would have no effect."""
    code = """
from unittest import mock
for name in ("constant_time_compare", "get_user_model", "load_backend", "user_logged_in", "user_logged_out"):
    try:
        mock.patch(f"channels.auth.{name}").start()
    except ImportError as error:
        assert f"channels.auth.{name} comes from django_shim.with_django.auth" in str(error), error
        assert "needs the real Django" in str(error), error
    else:
        raise AssertionError(name)
"""
    run_code(bare, code, tmp_path)


def test_star_import_brings_the_names_of_all(bare: Environment, tmp_path: Path) -> None:
    code = """
from channels.layers import *
import compat.layers
assert get_channel_layer is compat.layers.get_channel_layer
assert set(compat.layers.__all__) <= set(globals())
"""
    run_code(bare, code, tmp_path)


def test_dir_shows_the_target_and_reload_keeps_the_mirror(bare: Environment, tmp_path: Path) -> None:
    code = """
import importlib, inspect
import channels, channels.layers, compat.layers
assert "get_channel_layer" in dir(channels.layers)
assert all(hasattr(channels, name) for name in dir(channels)) and "layers" in dir(channels)
assert dict(inspect.getmembers(channels.layers))["InMemoryChannelLayer"] is compat.layers.InMemoryChannelLayer
before = compat.layers.channel_layers
assert importlib.reload(channels.layers) is channels.layers
importlib.reload(channels)
assert channels.layers.channel_layers is before and channels.__version__ == "4.3.2"
"""
    run_code(bare, code, tmp_path)


def test_submodules_are_the_mirrors_own_also_without_an_import(bare: Environment, tmp_path: Path) -> None:
    code = """
import sys, channels
assert channels.layers is sys.modules["channels.layers"] is not sys.modules["compat.layers"]
assert channels.db.database_sync_to_async
assert channels.security.websocket.OriginValidator
assert not hasattr(channels, "inbox"), "a submodule that only compat has is no name of channels"
assert not hasattr(channels, "nope")
"""
    run_code(bare, code, tmp_path)


def test_a_module_that_nobody_has_is_missing_by_its_own_name(bare: Environment, tmp_path: Path) -> None:
    """Celery tells "no tasks module" from "a broken one" by the name in the error."""
    code = """
try:
    import channels.nope
except ModuleNotFoundError as error:
    assert error.name == "channels.nope", error.name
else:
    raise AssertionError
try:
    from channels.layers import nope
except ImportError as error:
    assert "channels.layers" in str(error), error
"""
    run_code(bare, code, tmp_path)


def test_a_mirror_without_a_target_names_both(bare: Environment, tmp_path: Path) -> None:
    code = """
import sys, django_shim.mirror
sys.modules["channels_x"] = type(sys)("channels_x")
try:
    django_shim.mirror.mirror("channels_x", "compat.not_written_yet")
except ImportError as error:
    assert "channels_x" in str(error) and "compat.not_written_yet" in str(error), error
else:
    raise AssertionError
"""
    run_code(bare, code, tmp_path)


def test_every_submodule_is_found_by_walking(bare: Environment, tmp_path: Path) -> None:
    code = """
import pkgutil, channels, channels_redis, sys
def fail(name): raise sys.exc_info()[1]
for p in (channels, channels_redis):
    print(*(m.name for m in pkgutil.walk_packages(p.__path__, p.__name__ + ".", fail)))
"""
    found = set(run_code(bare, code, tmp_path).split())
    assert {"channels.layers", "channels.testing.websocket", "channels_redis.core"} <= found


def test_pickles_of_the_real_package_open(bare: Environment, tmp_path: Path) -> None:
    write_pickle = """
import pickle
from channels.exceptions import ChannelFull, StopConsumer
from channels.layers import InMemoryChannelLayer
with open("pickle", "wb") as file:
    pickle.dump([ChannelFull("room"), StopConsumer, InMemoryChannelLayer], file)
"""
    run_code(environment("channels"), write_pickle, tmp_path, {})
    code = """
import pickle, compat.exceptions, compat.layers
with open("pickle", "rb") as file:
    full, stop, layer = pickle.load(file)
assert type(full) is compat.exceptions.ChannelFull and full.args == ("room",)
assert stop is compat.exceptions.StopConsumer
assert layer is compat.layers.InMemoryChannelLayer
assert type(pickle.loads(pickle.dumps(full))) is type(full)
"""
    run_code(bare, code, tmp_path)


def test_versions_are_those_that_the_mirrors_follow(bare: Environment, tmp_path: Path) -> None:
    code = """
import channels, channels_redis, daphne
print(channels.__version__, channels_redis.__version__, daphne.__version__, channels.DEFAULT_CHANNEL_LAYER)
"""
    assert run_code(bare, code, tmp_path).split() == ["4.3.2", "4.3.0", "4.2.3", "default"]


def test_a_name_that_lives_elsewhere_is_read_and_patched_there(bare: Environment, tmp_path: Path) -> None:
    code = """
from unittest import mock
import channels, compat.layers
with mock.patch("channels.DEFAULT_CHANNEL_LAYER", "other"):
    assert compat.layers.DEFAULT_CHANNEL_LAYER == "other"
assert channels.DEFAULT_CHANNEL_LAYER == compat.layers.DEFAULT_CHANNEL_LAYER == "default"
"""
    run_code(bare, code, tmp_path)


def test_a_name_that_needs_django_says_so_and_is_not_listed(bare: Environment, tmp_path: Path) -> None:
    code = """
import inspect, channels.testing
assert "ChannelsLiveServerTestCase" not in dict(inspect.getmembers(channels.testing))
try:
    from channels.testing import ChannelsLiveServerTestCase
except ImportError as error:
    print(error)
"""
    said = run_code(bare, code, tmp_path)
    assert "channels.testing.ChannelsLiveServerTestCase" in said and "django" in said, said


def test_uninstall_forgets_what_was_served(bare: Environment, tmp_path: Path) -> None:
    code = """
import sys, django_shim
django_shim.install()
import channels.layers, daphne
assert django_shim.installed()
django_shim.uninstall()
django_shim.uninstall()
assert not django_shim.installed()
assert not {name for name in sys.modules if name.partition(".")[0] in ("channels", "daphne", "django")}
try:
    import channels
except ModuleNotFoundError:
    django_shim.install()
    import channels
else:
    raise AssertionError
"""
    run_code(bare, code, tmp_path, {})


def test_importing_the_shim_alone_changes_nothing(bare: Environment, tmp_path: Path) -> None:
    code = """
import django_shim
try:
    import channels
except ModuleNotFoundError:
    print("not found")
"""
    assert run_code(bare, code, tmp_path, {}) == "not found\n"


@pytest.mark.parametrize(
    "processes", [6, pytest.param(60, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]
)
def test_trap_01_threads_that_import_under_both_names_at_once(
    bare: Environment, tmp_path: Path, processes: int
) -> None:
    """After one ``import channels`` in the main thread, no thread meets the import system's lock detector."""
    write(
        tmp_path,
        torture="""
import sys, threading
sys.setswitchinterval(1e-6)
import channels

names = ["channels.layers", "compat.layers", "channels.consumer", "compat.generic.websocket",
         "channels.generic.websocket", "channels.auth", "compat.auth", "channels.testing",
         "compat.testing", "channels_redis.core", "compat.layers.redis.core", "channels.routing"]
start, failures = threading.Barrier(8), []

def work(shift):
    start.wait()
    for name in names[shift:] + names[:shift]:
        try:
            __import__(name)
        except BaseException as error:
            failures.append((name, repr(error)))

threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
sys.exit(str(failures) if failures else 0)
""",
    )
    for _ in range(processes):
        done = bare.run("python", "torture.py", cwd=tmp_path, env=SHIMMED)
        assert done.returncode == 0, done.stderr


def test_trap_01_importing_the_root_loads_what_threads_would_race_for(
    bare: Environment, tmp_path: Path
) -> None:
    code = """
import sys, channels
wanted = {f"compat.{n}" for n in ("consumer", "layers", "routing", "auth", "sessions", "db", "worker",
                                  "generic.websocket", "generic.http", "security.websocket", "utils")}
assert wanted <= set(sys.modules), wanted - set(sys.modules)
print(*sys.modules)
"""
    loaded = set(run_code(bare, code, tmp_path).split())
    assert not {"redis", "django", "uvicorn", "fastapi", "jinja2", "compat.testing"} & loaded, "keep it cheap"


PROBED = {"models", "admin", "urls", "tasks", "signals", "migrations", "templatetags", "apps", "management"}


def test_trap_02_compat_has_no_module_that_django_or_celery_probe_for(
    bare: Environment, tmp_path: Path
) -> None:
    code = """
import pkgutil, compat
for module in pkgutil.walk_packages(compat.__path__, "compat."):
    if module.name.count(".") < 3:  # compat and what is in it might be listed as apps; nobody looks deeper
        print(module.name.rpartition(".")[2])
"""
    assert not PROBED & set(run_code(bare, code, tmp_path).split())


def test_trap_02_importing_compat_loads_no_channels_django_settings_or_user_code(tmp_path: Path) -> None:
    write(tmp_path, broken__settings="raise AssertionError('settings were read by an import')")
    code = """
import importlib, pkgutil, sys, compat
def ignore(name): pass
for module in pkgutil.walk_packages(compat.__path__, "compat.", ignore):
    if "__main__" in module.name:
        continue
    try:
        importlib.import_module(module.name)
    except ImportError as error:  # an extra that is not installed here
        lacking = (error.__cause__ or error).name or ""
        assert lacking.partition(".")[0] not in ("channels", "django", "broken"), error
roots = {name.partition(".")[0] for name in sys.modules}
assert not roots & {"channels", "channels_redis", "daphne", "django", "broken"}, roots
"""
    run_code(environment("django"), code, tmp_path, {**SHIMMED, "DJANGO_SETTINGS_MODULE": "broken.settings"})
