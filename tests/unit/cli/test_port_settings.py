"""``channels-compat port`` in settings and tests: lists of apps, and strings that are dotted paths."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from compat.cli.porting.judge import DjangoNames, Kind
from compat.cli.porting.project import inspect
from tests.unit.cli.test_port import KEEP, port, run

PATHS = [
    ("x = {'BACKEND': 'NAME'}", "channels_redis.core.RedisChannelLayer"),
    ("x['default']['BACKEND'] = 'NAME'", "channels.layers.InMemoryChannelLayer"),
    ("LAYER = 'NAME'\nx = {'BACKEND': LAYER}", "channels.layers.InMemoryChannelLayer"),
    ("def f(layer='NAME'):\n    return {'BACKEND': layer}", "channels.layers.InMemoryChannelLayer"),
    (
        "@pytest.mark.parametrize('layer', ['NAME'])\ndef f(layer):\n    return {'BACKEND': layer}",
        "channels.layers.InMemoryChannelLayer",
    ),
    ("MIDDLEWARE = ['a', 'NAME']", "channels.sessions.SessionMiddleware"),
    ('patch("NAME", 1)', "channels.layers.get_channel_layer"),
    ("monkeypatch.setattr('NAME', 1)", "channels.layers.get_channel_layer"),
    ("import_module('NAME')", "channels_redis.core"),
    ("import_string('NAME')", "fast_channels.layers.redis.RedisPubSubChannelLayer"),
    ("importlib.import_module(name='NAME')", "channels.layers"),
    ("sys.modules['NAME'] = None", "channels.layers"),
    ("x = 'NAME' in sys.modules", "channels.layers"),
    ("patch.dict(sys.modules, {'NAME': None})", "channels.layers"),
]
MEMBERS = [
    "channels.auth.AuthMiddleware.resolve_scope",
    "channels.consumer.AsyncConsumer.dispatch",
    "channels.generic.websocket.AsyncJsonWebsocketConsumer.send_json",
    "channels.generic.websocket.AsyncWebsocketConsumer.accept",
    "channels.generic.websocket.AsyncWebsocketConsumer.close",
    "channels.generic.websocket.AsyncWebsocketConsumer.send",
    "channels.layers.InMemoryChannelLayer.group_send",
    "channels.layers.channel_layers.backends",
    "channels.layers.channel_layers.set",
    "channels.testing.WebsocketCommunicator.connect",
    "channels_redis.core.RedisChannelLayer.group_send",
    "fast_channels.layers.InMemoryChannelLayer.group_send",
    "fastapi_channels.ConnectionManager.broadcast",
]
PATHS += [("@patch('NAME', new_callable=AsyncMock)\ndef f(send): pass", name) for name in MEMBERS]
PATHS += [
    ("mocker.patch.dict('NAME', {})", "channels.layers.channel_layers.backends"),
    ("patch.dict(in_dict='NAME')", "channels.layers.channel_layers.backends"),
    ("mocker.patch('NAME')", "channels.layers.InMemoryChannelLayer.group_send"),
    ("monkeypatch.setattr('NAME', 1)", "channels.layers.InMemoryChannelLayer.group_send"),
    ("sys.modules.pop('NAME', None)", "channels.layers"),
    ("patch.dict('sys.modules', {'NAME': None})", "channels.layers"),
]
NEW = {
    "channels": "compat",
    "channels_redis": "compat.layers.redis",
    "fast_channels": "compat",
    "fastapi_channels": "compat.manager",
}


def new(name: str) -> str:
    first, dot, rest = name.partition(".")
    return NEW[first] + dot + rest


@pytest.mark.parametrize(("place", "name"), PATHS)
def test_strings_that_are_paths_by_their_place(place: str, name: str, tmp_path: Path) -> None:
    source = place.replace("NAME", name)
    assert port(tmp_path, source) == place.replace("NAME", new(name))
    assert port(tmp_path, source, only_imports=True) == source


@pytest.mark.parametrize("name", MEMBERS)
def test_check_finds_attributes_of_classes(name: str, tmp_path: Path) -> None:
    source = f'from unittest.mock import patch\npatch("{name}")\n'
    (tmp_path / "file.py").write_text(source)
    for django in DjangoNames:
        (found,) = inspect(tmp_path, django).files
        served = name.startswith("channels")
        assert found.status is (Kind.runs if served else Kind.port), found.findings
        (finding,) = found.findings
        assert finding.message.startswith(name) and finding.message.endswith(f"port writes {new(name)}")


LACKING = [
    ("channels.layers.InMemoryChannelLayer.nope", "compat.layers.InMemoryChannelLayer has no nope"),
    ("channels.layers.channel_layers.set.nope.x", "compat.layers.channel_layers.set has no nope"),
    ("channels.layers.nope", "compat.layers has no nope"),
    ("channels_redis.core.RedisChannelLayer.nope", "compat.layers.redis.core.RedisChannelLayer has no nope"),
    ("chanx.core.check.x", "channels-compat has one framework only"),
]


@pytest.mark.parametrize(("name", "why"), LACKING)
def test_a_patch_of_what_is_not_here_is_left_and_reported(name: str, why: str, tmp_path: Path) -> None:
    source = f"monkeypatch.setattr('{name}', 1)\n"
    assert port(tmp_path, source) == source
    assert f'file.py:1: the string "{name}" is left: {why}' in run(tmp_path)[1]
    (found,) = inspect(tmp_path, KEEP).files
    (finding,) = found.findings
    assert found.status is Kind.gone and name in finding.message
    if name != "channels.layers.nope":  # a name of a module: check looks for a similar one instead
        assert why in finding.message


OTHERS = [
    "TOPIC = 'channels.auth.login'",
    "x = ['a', 'channels.auth.login']",
    "patch('a.b', 'channels.auth.login')",
    "await layer.group_send('g', {'type': 'channels.auth.login'})",
    "x = {'channels.auth.login': 1}",
]


@pytest.mark.parametrize("source", OTHERS)
def test_strings_that_may_be_something_else_are_left_and_reported(source: str, tmp_path: Path) -> None:
    assert port(tmp_path, source) == source
    said = 'the string "channels.auth.login" is left: if it is a path, replace it by "compat.auth.login"'
    (tmp_path / "file.py").write_text(f"\n{source}\n")
    assert f"file.py:2: {said}" in run(tmp_path)[1]
    assert run(tmp_path, "--write")[0] == 0 and f"file.py:2: {said}" in run(tmp_path, "--write")[1]
    (found,) = inspect(tmp_path, KEEP).files
    assert [(one.line, one.message) for one in found.findings] == [(2, said)], "check agrees with port"


WORDS = [
    ('importlib.util.find_spec("channels")', "compat"),
    ('find_spec(("channels"))', "compat"),
    ('x = {"channels": "ü", "y": find_spec("channels")}', "compat"),
    ('pytest.importorskip("channels")', "compat"),
    ('importorskip("channels_redis", reason="x")', "compat.layers.redis"),
    ('import_module("channels_redis")', "compat.layers.redis"),
    ('__import__("channels")', "compat"),
    ('"channels" in sys.modules', "compat"),
    ('monkeypatch.setitem(sys.modules, "channels", None)', "compat"),
    ('patch.dict("sys.modules", {"channels": None})', "compat"),
    ('apps.is_installed("channels")', "django_shim.with_django"),
    ('apps.is_installed("daphne")', "django_shim.with_django"),
    ('apps.is_installed("channels.apps.ChannelsConfig")', "django_shim.with_django"),
    ('if "channels" in settings.INSTALLED_APPS: pass', "django_shim.with_django"),
    ('if "daphne" not in INSTALLED_APPS: pass', "django_shim.with_django"),
    ('BACKEND.startswith("channels_redis.")', "compat.layers.redis."),
    ('settings.CHANNEL_LAYERS["default"]["BACKEND"].startswith("channels.")', "compat."),
    ('layer.get("BACKEND").startswith(("channels.layers.",))', "compat.layers."),
    ('"channels_redis" in BACKEND', "compat.layers.redis"),
    ('"channels_redis" not in layer["BACKEND"]', "compat.layers.redis"),
    ('BACKEND == "channels.layers.InMemoryChannelLayer"', "compat.layers.InMemoryChannelLayer"),
]


@pytest.mark.parametrize(("source", "new"), WORDS)
def test_names_of_packages_and_apps(source: str, new: str, tmp_path: Path) -> None:
    before, old, after = source.rpartition(re.findall(r'"((?:channels|daphne)[^"]*)"', source)[-1])
    assert port(tmp_path, source) == f"{before}{new}{after}"
    assert port(tmp_path, source, only_imports=True) == source
    (tmp_path / "file.py").write_text(source)
    (found,) = inspect(tmp_path, KEEP).files
    (finding,) = found.findings
    assert old in finding.message and new in finding.message and finding.kind is Kind.runs


LEFT = [
    ('importlib.metadata.version("channels")', 'the distribution is "channels-compat"'),
    ('pkg_resources.get_distribution("channels-redis")', 'the distribution is "channels-compat"'),
    ('pytest.importorskip("channels", minversion="4")', 'the distribution is "channels-compat"'),
    ('apps.get_app_config("channels")', 'label of the app that replaces it is "channels_compat"'),
    ('__import__("channels_redis")', 'replace __import__() by import_module("compat.layers.redis")'),
    ('backend.startswith("channels_redis.")', 'if it is a path, replace it by "compat.layers.redis."'),
    ('"channels_redis" in backend', 'if it is a path, replace it by "compat.layers.redis"'),
    ('"channels" in THIRD_PARTY_APPS', 'replace it by "django_shim.with_django"'),
    ('find_spec("daphne")', "run uvicorn"),
    ('pytest.importorskip("chanx")', "there is no one package in its place"),
    ('PACKAGE = "channels"\nfind_spec(PACKAGE)', 'if it is a path, replace it by "compat"'),
]

ONLY_WORDS = """
a = "channels" in text, "channels" in CHANNEL_LAYERS, CHANNEL_LAYER == "channels"
b = "nobody_has_this" in INSTALLED_APPS
c = {"channels": "channels"}["channels"], logging.getLogger("channels")
"""


@pytest.mark.parametrize(("source", "said"), LEFT)
def test_words_that_port_cannot_decide_are_printed(source: str, said: str, tmp_path: Path) -> None:
    source += ONLY_WORDS
    assert port(tmp_path, source) == source
    (tmp_path / "file.py").write_text(source)
    (line,) = [line for line in run(tmp_path)[1].splitlines() if line.startswith("file.py:")]
    assert line.startswith("file.py:1: ") and said in line
    (found,) = inspect(tmp_path, KEEP).files
    assert found.status is (Kind.unknown if "chanx" in source else Kind.runs)


SETTINGS = [
    ('["daphne", "chat"]', '["django_shim.with_django", "chat"]'),
    ("[\n    'chat',\n    'channels',\n]", "[\n    'chat',\n    'django_shim.with_django',\n]"),
    ('["daphne", "chat", "channels"]', '["django_shim.with_django", "chat"]'),
    ('["channels", "daphne"]', '["django_shim.with_django"]'),
    ('["chat"]', '["django_shim.with_django", "chat"]'),
    ("[\n    'chat',  # ours\n]", "[\n    'django_shim.with_django',\n    'chat',  # ours\n]"),
    ("[]", '["django_shim.with_django"]'),
]


@pytest.mark.parametrize(("before", "after"), SETTINGS)
def test_installed_apps(before: str, after: str, tmp_path: Path) -> None:
    rest = '\nASGI_APPLICATION = "mysite.asgi.application"\n'
    assert port(tmp_path, f"INSTALLED_APPS = {before}{rest}") == f"INSTALLED_APPS = {after}{rest}"
    assert port(tmp_path, f"INSTALLED_APPS = {before}{rest}", only_imports=True).startswith(
        f"INSTALLED_APPS = {before}"
    )


def test_apps_that_are_added_later(tmp_path: Path) -> None:
    source = 'INSTALLED_APPS = ["chat"]\nINSTALLED_APPS += ["channels"]\nINSTALLED_APPS.insert(0, "daphne")\n'
    assert port(tmp_path, source) == (
        'INSTALLED_APPS = ["chat"]\nINSTALLED_APPS += []\n'
        'INSTALLED_APPS.insert(0, "django_shim.with_django")\n'
    )


OURS = "django_shim.with_django"
LISTS = [
    ('INSTALLED_APPS: list[str] = ["channels", "chat"]', f'INSTALLED_APPS: list[str] = ["{OURS}", "chat"]'),
    ('INSTALLED_APPS = ["channels"] + LOCAL_APPS', f'INSTALLED_APPS = ["{OURS}"] + LOCAL_APPS'),
    ('INSTALLED_APPS = OTHER_APPS + ("daphne",)', f'INSTALLED_APPS = OTHER_APPS + ("{OURS}",)'),
    ('INSTALLED_APPS = ("channels",)', f'INSTALLED_APPS = ("{OURS}",)'),
    ('INSTALLED_APPS = "daphne", "channels"', f'INSTALLED_APPS = "{OURS}",'),
    ('INSTALLED_APPS = ["channels", "chanx.channels", "chat"]', f'INSTALLED_APPS = ["{OURS}", "chat"]'),
    (
        'A_APPS = ["channels"]\nINSTALLED_APPS = ["daphne", *A_APPS]',
        f'A_APPS = []\nINSTALLED_APPS = ["{OURS}", *A_APPS]',
    ),
    (
        'INSTALLED_APPS = ["channels"]\nif DEBUG:\n    INSTALLED_APPS += ["daphne"]',
        f'INSTALLED_APPS = ["{OURS}"]\nif DEBUG:\n    INSTALLED_APPS += []',
    ),
    (
        'INSTALLED_APPS = ["channels"]\nif DEBUG: INSTALLED_APPS.insert(0, "daphne")',
        f'INSTALLED_APPS = ["{OURS}"]\nif DEBUG: pass',
    ),
    (
        'INSTALLED_APPS = ["chat"]\nif DEBUG:\n    INSTALLED_APPS += ["daphne"]\nelse:\n'
        '    INSTALLED_APPS += ["channels"]',
        f'INSTALLED_APPS = ["chat"]\nif DEBUG:\n    INSTALLED_APPS += ["{OURS}"]\nelse:\n'
        f'    INSTALLED_APPS += ["{OURS}"]',
    ),
    (
        'INSTALLED_APPS = ["channels", "daphne"]\nINSTALLED_APPS = ["channels"]',
        f'INSTALLED_APPS = ["{OURS}"]\nINSTALLED_APPS = ["{OURS}"]',
    ),
    (
        'B_APPS = ["daphne"]\nINSTALLED_APPS = ["channels"]\nif DEBUG:\n    INSTALLED_APPS += B_APPS',
        f'B_APPS = []\nINSTALLED_APPS = ["{OURS}"]\nif DEBUG:\n    INSTALLED_APPS += B_APPS',
    ),
]


@pytest.mark.parametrize(("before", "after"), LISTS)
def test_each_list_that_had_an_app_still_has_one(before: str, after: str, tmp_path: Path) -> None:
    assert port(tmp_path, f"{before}\n") == f"{after}\n"


@pytest.mark.parametrize("order", [("base", "dev"), ("dev", "base")])
def test_settings_that_are_ported_one_by_one_have_one_app(order: tuple[str, str], tmp_path: Path) -> None:
    base, dev = (tmp_path / f"{name}.py" for name in ("base", "dev"))
    base.write_text("INSTALLED_APPS = ['channels', 'chat']\n")
    dev.write_text("from .base import *\nINSTALLED_APPS = ['daphne', 'debug', *INSTALLED_APPS]\n")
    (tmp_path / "broken.py").write_text("INSTALLED_APPS = [\n")
    for name in order:
        assert run(tmp_path / f"{name}.py", "--write")[0] == 0
    assert base.read_text() == f"INSTALLED_APPS = ['{OURS}', 'chat']\n"
    assert dev.read_text() == "from .base import *\nINSTALLED_APPS = ['debug', *INSTALLED_APPS]\n"
    assert (tmp_path / "broken.py").read_text() == "INSTALLED_APPS = [\n"


PLACES = [
    "settings.configure(INSTALLED_APPS=APPS, DEBUG=True)",
    "def f():\n    with override_settings(INSTALLED_APPS=APPS): pass",
    "x = {'INSTALLED_APPS': APPS}",
    "settings.configure(**dict(INSTALLED_APPS=APPS))",
]
VALUES = [
    ('["channels"]', f'["{OURS}"]'),
    ('["daphne", "chat", "channels"]', f'["{OURS}", "chat"]'),
    ('MORE + ("channels",)', f'MORE + ("{OURS}",)'),
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("before", "after"), VALUES)
def test_lists_of_apps_that_are_arguments(place: str, before: str, after: str, tmp_path: Path) -> None:
    source = place.replace("=APPS", f"={before}").replace(": APPS", f": {before}")
    rest = "\nINSTALLED_APPS = ['channels']\n"
    expected = place.replace("=APPS", f"={after}").replace(": APPS", f": {after}")
    assert port(tmp_path, source + rest) == expected + rest.replace("channels", OURS)
    (tmp_path / "file.py").write_text(source)
    assert "file.py:" not in run(tmp_path)[1].replace("a/file.py", "")


def test_settings_that_are_configured_in_code(tmp_path: Path) -> None:
    source = (
        'settings.configure(INSTALLED_APPS=["channels"], CHANNEL_LAYERS={"default": {"BACKEND": '
        '"channels.layers.InMemoryChannelLayer"}})\n'
    )
    expected = source.replace('"channels"', f'"{OURS}"').replace("channels.", "compat.")
    extends = 'override_settings(INSTALLED_APPS=[*settings.INSTALLED_APPS, "channels"])\n'
    assert port(tmp_path, source + extends) == expected + extends, "those may have our app already"
    assert 'file.py:2: "channels" is left in INSTALLED_APPS' in run(tmp_path)[1]


COMMENTS = [
    (
        "[\n    # web\n    'daphne',  # first\n    # sockets\n"
        "    'channels',  # second\n    # own\n    'chat',\n]",
        f"[\n    # web\n    '{OURS}',  # first\n    # sockets\n    # second\n    # own\n    'chat',\n]",
    ),
    (
        "[\n    'daphne',\n    # sockets\n    'channels',  # second\n    # the end\n]",
        f"[\n    '{OURS}',\n    # sockets\n    # second\n    # the end\n]",
    ),
    ("['daphne',\n    'channels']", f"['{OURS}']"),
    ("[\n    'daphne',  # first\n    'channels']", f"[\n    '{OURS}'  # first\n    ]"),
]


@pytest.mark.parametrize(("before", "after"), COMMENTS)
def test_comments_in_a_list_of_apps_are_kept(before: str, after: str, tmp_path: Path) -> None:
    assert port(tmp_path, f"INSTALLED_APPS = {before}\n") == f"INSTALLED_APPS = {after}\n"


@pytest.mark.parametrize(
    "imported", ["from .base import *", "from mysite.settings.base import INSTALLED_APPS"]
)
def test_settings_that_extend_others(imported: str, tmp_path: Path) -> None:
    settings = tmp_path / "mysite" / "settings"
    settings.mkdir(parents=True)
    base, dev, other = settings / "base.py", settings / "dev.py", settings / "other.py"
    base.write_text('INSTALLED_APPS = ["chat", "channels"]\nASGI_APPLICATION = "mysite.asgi.application"\n')
    dev.write_text(f'{imported}\nINSTALLED_APPS = ["daphne"] + INSTALLED_APPS\n')
    other.write_text('INSTALLED_APPS = ["daphne"]\n')
    assert run(tmp_path, "--write")[0] == 0
    assert base.read_text().startswith(f'INSTALLED_APPS = ["chat", "{OURS}"]\n')
    assert dev.read_text() == f"{imported}\nINSTALLED_APPS = [] + INSTALLED_APPS\n"
    assert other.read_text() == f'INSTALLED_APPS = ["{OURS}"]\n'
    assert "nothing to port" in run(tmp_path, "--write")[1]


def test_settings_one_by_one_have_the_app_once(tmp_path: Path) -> None:
    """Was: the second port asked for the app, which the first file has."""
    (tmp_path / "base.py").write_text('INSTALLED_APPS = ["chat", "channels"]\n')
    (tmp_path / "dev.py").write_text('from base import *\nINSTALLED_APPS = ["daphne"] + INSTALLED_APPS\n')
    for name in ("base.py", "dev.py"):
        code, output = run(tmp_path / name, "--write", "--django", "keep")
        assert code == 0 and "No INSTALLED_APPS" not in output


def test_an_app_in_an_expression_that_is_not_followed_is_reported(tmp_path: Path) -> None:
    (tmp_path / "s.py").write_text('INSTALLED_APPS = list(("channels",))\nimport channels.layers as layers\n')
    code, output = run(tmp_path, "--django", "keep")
    assert code == 0 and 's.py:1: "channels" is left in INSTALLED_APPS: replace it by "django_shim' in output
    assert "No INSTALLED_APPS in these files has" in output


def test_an_app_that_is_removed_if_it_is_there_stays_with_its_condition(tmp_path: Path) -> None:
    """Was: only the condition was rewritten, and remove() raised."""
    (tmp_path / "base.py").write_text('INSTALLED_APPS = ["daphne", "channels"]\n')
    source = 'from base import *\nif "daphne" in INSTALLED_APPS:\n    INSTALLED_APPS.remove("daphne")\n'
    (tmp_path / "dev.py").write_text(source)
    _, output = run(tmp_path, "--write")
    assert (tmp_path / "dev.py").read_text() == source
    assert 'dev.py:3: "daphne" is left' in output and "dev.py:2" not in output


def test_a_condition_of_something_else_than_the_removal_of_an_app_is_ported(tmp_path: Path) -> None:
    (tmp_path / "s.py").write_text(
        'INSTALLED_APPS = ["channels"]\nif "channels" in INSTALLED_APPS:\n    X = 1\n'
        'if TESTING and "channels" in INSTALLED_APPS:\n    INSTALLED_APPS.remove("channels")\n'
    )
    run(tmp_path, "--write")
    assert (tmp_path / "s.py").read_text() == (
        'INSTALLED_APPS = ["django_shim.with_django"]\n'
        'if "django_shim.with_django" in INSTALLED_APPS:\n    X = 1\n'
        'if TESTING and "channels" in INSTALLED_APPS:\n    INSTALLED_APPS.remove("channels")\n'
    )
