"""``channels-compat port``: what it writes, statement by statement, and when it writes nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from typer.testing import CliRunner

from compat.cli.app import app
from compat.cli.port import ported
from compat.cli.porting.judge import DjangoNames, Kind
from compat.cli.porting.project import inspect
from compat.layers import InMemoryChannelLayer, get_channel_layer

KEEP = DjangoNames.keep


def port(tmp_path: Path, source: str, django: DjangoNames = KEEP, only_imports: bool = False) -> str:
    file = tmp_path / "file.py"
    file.write_text(source, encoding="utf-8")
    ((_, after),) = ported({file: source.encode()}, django, only_imports=only_imports)
    file.write_bytes(after)
    ((_, again),) = ported({file: after}, django, only_imports=only_imports)
    assert again == after, "a second run changes nothing"
    return after.decode()


def run(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["port", *map(str, arguments)])
    return done.exit_code, done.output


IMPORTS = [
    ("from channels.layers import get_channel_layer", "from compat.layers import get_channel_layer"),
    ("import channels.layers as cl", "import compat.layers as cl"),
    ("from channels import layers, auth as a", "from compat import layers, auth as a"),
    ("from channels.generic import websocket", "from compat.generic import websocket"),
    ("from channels_redis import core", "from compat.layers.redis import core"),
    ("from channels.layers import *", "from compat.layers import *"),
    (
        "from channels.consumer import (  # why\n    AsyncConsumer,  # one\n    SyncConsumer,\n)",
        "from compat.consumer import (  # why\n    AsyncConsumer,  # one\n    SyncConsumer,\n)",
    ),
    (
        "import channels.layers, json\nx = channels.layers.get_channel_layer('a')\n",
        "import compat.layers, json\nx = compat.layers.get_channel_layer('a')\n",
    ),
    (
        "import channels\nprint(channels.DEFAULT_CHANNEL_LAYER)",
        "import compat\nprint(compat.layers.DEFAULT_CHANNEL_LAYER)",
    ),
    (
        "from fast_channels.consumer import AsyncWebsocketConsumer, AsyncHttpConsumer as H  # two\n",
        "from compat.generic.websocket import AsyncWebsocketConsumer\n"
        "from compat.generic.http import AsyncHttpConsumer as H  # two\n",
    ),
    (
        "from fast_channels.layers import ChannelLayerRegistry",
        "from compat.layers import ChannelLayerManager as ChannelLayerRegistry",
    ),
    ("from chanx.messages import incoming", "from compat import typed as incoming"),
    ("from fastapi_channels.config import WSConfig", "from compat.manager.config import WSConfig"),
    (
        "def f():\n    from channels.auth import login, database_sync_to_async\n",
        "def f():\n    from compat.auth import login\n    from compat.db import database_sync_to_async\n",
    ),
    (
        "from channels.testing import ChannelsLiveServerTestCase, WebsocketCommunicator",
        "from django_shim.with_django.live import ChannelsLiveServerTestCase\n"
        "from compat.testing import WebsocketCommunicator",
    ),
]
COMMENTED = """\
# first
from channels.auth import (  # noqa: F401
    # above
    login,  # signs in
    # own line
    database_sync_to_async,  # type: ignore[attr-defined]
    logout{comma}  # pragma: no cover
    # last
){end}
x = 1
"""
SEPARATE = """\
# first
# above
# signs in
# own line
# last
from compat.auth import login, logout  # noqa: F401  # pragma: no cover{end}
from compat.db import database_sync_to_async  # type: ignore[attr-defined]  # noqa: F401{last}
x = 1
"""
IMPORTS += [
    (COMMENTED.format(comma=",", end=""), SEPARATE.format(end="", last="")),
    (COMMENTED.format(comma="", end=""), SEPARATE.format(end="", last="")),
    (COMMENTED.format(comma="", end="  # tail"), SEPARATE.format(end="", last="  # tail")),
    (
        COMMENTED.format(comma="", end="  # pylint: x"),
        SEPARATE.format(end="  # pylint: x", last="  # pylint: x"),
    ),
    (
        "x = 1; from channels.auth import (login,  # one\n    database_sync_to_async  # NOQA\n)\n",
        "# one\nx = 1; from compat.auth import login; from compat.db import database_sync_to_async  # NOQA\n",
    ),
]
BOTH = "from channels.auth import login, database_sync_to_async"
SPLIT = "from compat.auth import login; from compat.db import database_sync_to_async"
IMPORTS += [
    (f"{BOTH}; x = 1", f"{SPLIT}; x = 1"),
    (f"x = 1; {BOTH};  # why", f"x = 1; {SPLIT};  # why"),
    (f"if x: {BOTH}", f"if x: {SPLIT}"),
    (
        "if x: from channels.auth import (login,  # one\n    database_sync_to_async)  # type: ignore\n",
        f"if x: {SPLIT}  # type: ignore  # one\n",
    ),
    (
        "import channels.layers, json  # why\nx = channels\nchannels.layers.get_channel_layer()\n",
        "import compat.layers, json, compat as channels  # why\nx = channels\n"
        "channels.layers.get_channel_layer()\n",
    ),
    (
        "import channels\nimport channels.layers\ndef f(channels):\n    channels.layers = 3\n",
        "import compat as channels\nimport compat.layers, compat as channels\n"
        "def f(channels):\n    channels.layers = 3\n",
    ),
    (
        "import channels_redis.core\nimport channels.layers\nf(channels_redis, channels=channels.layers)\n",
        "import compat.layers.redis.core, compat.layers.redis as channels_redis\nimport compat.layers\n"
        "f(channels_redis, channels=compat.layers)\n",
    ),
]
LEFT = [
    "from django.urls import path",
    "from channels.apps import ChannelsConfig",
    "from channels.layers import nope",
    "from chanx.channels.routing import include",
    "from daphne.testing import DaphneProcess",
    "from .channels import layers",
    "from mychannels.layers import x",
    "import logging\nlog = logging.getLogger('channels.layers')",
    "channels = []\nchannels.append(1)",
    "x = 'channels.something.else'",
    "x = 'see channels.layers.get_channel_layer for more'",
]


@pytest.mark.parametrize(("before", "after"), IMPORTS)
def test_imports(before: str, after: str, tmp_path: Path) -> None:
    assert port(tmp_path, before) == after


@pytest.mark.parametrize("source", LEFT)
def test_what_is_left_as_it_is(source: str, tmp_path: Path) -> None:
    assert port(tmp_path, source) == source


NO_HOME = [
    (
        "from daphne.testing import DaphneProcess",
        "with compat.testing.live.LiveServer(application) as server",
    ),
    ("import daphne", "run uvicorn"),
    ("from channels.layers import nope", "compat.layers has no nope"),
    ("try:\n    from channels.apps import ChannelsConfig\nexcept ImportError: pass", "in INSTALLED_APPS"),
    ("from chanx.core.check import x", "channels-compat has one framework only"),
]


@pytest.mark.parametrize(("source", "why"), NO_HOME)
def test_an_import_without_an_equivalent_is_left_and_reported(source: str, why: str, tmp_path: Path) -> None:
    assert port(tmp_path, source) == source
    (line,) = [line for line in run(tmp_path)[1].splitlines() if line.startswith("file.py:")]
    assert "import" in line and " is left: " in line and why in line


def test_check_of_a_ported_project_names_what_only_the_shim_has(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    (tmp_path / "b.py").write_text("from daphne.testing import DaphneProcess\n")
    found: dict[str, Any] = {}
    for module, status in (("channels", Kind.runs), ("compat", Kind.gone)):
        file.write_text(f"from {module}.layers import get_channel_layer\n")
        found = {one.path.name: one for one in inspect(tmp_path, KEEP).files}
        assert found["b.py"].status is status and found["a.py"].status is Kind.runs
    (finding,) = found["b.py"].findings
    assert "LiveServer" in finding.message


def test_a_name_that_is_set_if_the_import_fails(tmp_path: Path) -> None:
    source = (
        "try:\n    import channels.layers\nexcept ImportError:\n    channels = None\n\n"
        "def tell():\n    if channels is None:\n        return\n"
        "    return channels.layers.get_channel_layer()\n"
    )
    after = port(tmp_path, source)
    assert after == source.replace("import channels.layers", "import compat.layers, compat as channels")
    names: dict[str, Any] = {}
    exec(compile(after, "file.py", "exec"), names)
    assert names["tell"]() is get_channel_layer()
    source = source.replace("channels", "django").replace("layers.get_channel_layer()", "conf.settings")
    source = source.replace("django.layers", "django.conf")
    assert "import django_shim.django.conf, django_shim.django as django" in port(
        tmp_path, source, DjangoNames.shim
    )


COLLIDING = [
    "import channels.layers\nfrom os import path as compat\nassert compat.sep\n",
    "from os import path as compat\nimport channels.layers\nassert compat.sep\n",
    "import channels.layers\ndef f(compat):\n    return channels.layers\nassert f(1)\n",
    "def f(compat):\n    import channels.layers\n    return compat\nassert f(1) == 1\nimport channels\n",
]


@pytest.mark.parametrize("source", COLLIDING)
def test_a_file_that_uses_the_new_name_otherwise(source: str, tmp_path: Path) -> None:
    after = port(tmp_path, f"{source}found = channels.layers.get_channel_layer()\n")
    assert "import compat.layers as channels, compat as channels" in after
    names: dict[str, Any] = {}
    exec(compile(after, "file.py", "exec"), names)
    assert names["found"] is get_channel_layer()


HINTED = [
    'def f(x: "channels.layers.InMemoryChannelLayer"): pass',
    'def f() -> "Optional[channels.layers.InMemoryChannelLayer]": pass',
    "class f:\n    x: Optional['channels.layers.InMemoryChannelLayer']",
]


@pytest.mark.parametrize("hinted", HINTED)
def test_names_in_annotations_that_are_strings_stay_bound(hinted: str, tmp_path: Path) -> None:
    source = f"from typing import Optional\nimport channels.layers\n{hinted}\n"
    after = port(tmp_path, source)
    assert after == source.replace("import channels.layers", "import compat.layers, compat as channels")
    names: dict[str, Any] = {}
    exec(compile(after, "file.py", "exec"), names)
    (hint,) = get_type_hints(names["f"], names).values()
    assert hint in (InMemoryChannelLayer, InMemoryChannelLayer | None)


def test_names_in_comments_with_types_stay_bound(tmp_path: Path) -> None:
    for comment, bound in (("list[channels.layers.X]", True), ("ignore[channels.x]", False)):
        after = port(tmp_path, f"import channels.layers\nx = []  # type: {comment}\n")
        assert ("compat as channels" in after) is bound
    source = "import django.conf\ndef f(x: 'django.conf.Settings'): pass\n"
    after = port(tmp_path, source, DjangoNames.shim)
    assert after.startswith("import django_shim.django.conf, django_shim.django as django\n")


def test_a_patch_through_a_module_of_the_project_is_reported(tmp_path: Path) -> None:
    (tmp_path / "tasks.py").write_text("import channels.layers\n")
    paths = ["tasks.channels.layers.get_channel_layer", "tasks.channels", "site.channels.rooms.Room"]
    (tmp_path / "tests.py").write_text("".join(f"patch({path!r})\n" for path in paths))
    lines = [line for line in run(tmp_path)[1].splitlines() if line.startswith("tests.py:")]
    assert len(lines) == 2 and lines[0].endswith(
        'if tasks imports channels, replace it by "tasks.compat.layers.get_channel_layer"'
    )
    assert lines[1].startswith("tests.py:2: ") and lines[1].endswith('"tasks.compat"')
    (tmp_path / "tasks.py").unlink()
    (tmp_path / "tasks" / "channels").mkdir(parents=True)
    (tmp_path / "tasks" / "channels" / "layers.py").touch()
    assert "tests.py:" not in run(tmp_path)[1], "a package of the project's own"


def test_imports_that_cannot_keep_their_name_are_left_and_reported(tmp_path: Path) -> None:
    source = "import channels\nx = channels\nprint(channels.DEFAULT_CHANNEL_LAYER)\n"
    assert port(tmp_path, source) == source, "compat has no DEFAULT_CHANNEL_LAYER"
    (tmp_path / "file.py").write_text(source)
    code, output = run(tmp_path)
    assert (
        code == 0 and "file.py:1: import channels is left, because the file uses the name channels" in output
    )


def test_without_django_names_that_need_it_are_left_and_reported(tmp_path: Path) -> None:
    source = (
        "from channels.auth import constant_time_compare, login\n"
        "from channels.testing.live import DaphneProcess\n"
        "import channels.auth\nchannels.auth.get_user_model()\n"
    )
    left = (
        "from channels.auth import constant_time_compare\nfrom compat.auth import login\n"
        "from channels.testing.live import DaphneProcess\n"
        "import channels.auth\nchannels.auth.get_user_model()\n"
    )
    assert port(tmp_path, source, DjangoNames.shim) == left
    output = run(tmp_path, "--django", "shim")[1]
    why = "it needs Django: it is "
    assert f"1: from channels.auth import constant_time_compare is left: {why}a name of Django's" in output
    assert f"3: from channels.testing.live import DaphneProcess is left: {why}a test case" in output
    assert "4: import channels.auth is left, because" in output
    kept = port(tmp_path, source)
    assert "with_django.auth import constant_time_compare" in kept
    assert "channels.auth.get_user_model()" in kept, "no import of compat binds django_shim"


NEED_DJANGO = [
    "from django_shim.with_django.auth import constant_time_compare",
    "from django_shim.with_django import live",
    "import django_shim.with_django.live",
]


@pytest.mark.parametrize("source", NEED_DJANGO)
def test_check_knows_that_ported_names_need_django(source: str, tmp_path: Path) -> None:
    (tmp_path / "file.py").write_text(source)
    ((kept,), (found,)) = (inspect(tmp_path, django).files for django in DjangoNames)
    assert kept.status is Kind.runs and found.status is Kind.django


def test_a_variable_of_the_same_name_is_not_the_module(tmp_path: Path) -> None:
    source = "import channels\ndef f(channels):\n    return channels.append, channels.__version__\n"
    assert port(tmp_path, source) == source


def test_django_stays_or_becomes_the_subset(tmp_path: Path) -> None:
    source = "import django\nfrom django.urls import path\nimport django.conf\ndjango.setup()\n"
    source += "d = django.conf.settings\n"
    assert port(tmp_path, source) == source
    assert port(tmp_path, source, DjangoNames.shim) == source.replace("django", "django_shim.django")


ROUTES = [
    ("app = FastAPI()", "app.add_websocket_route('/', C.as_asgi())", "app.router.add_websocket_route"),
    ("app: A = FastAPI()", "app.add_api_websocket_route('/', C.as_asgi())", "app.router.add_websocket_route"),
    ("r = APIRouter()", "r.add_api_websocket_route('/', C.as_asgi())", "r.add_websocket_route"),
    ("r = APIRouter()", "r.add_websocket_route('/', C.as_asgi())", "r.add_websocket_route"),
    ("app = FastAPI()", "app.add_api_websocket_route('/', function)", "app.add_api_websocket_route"),
    ("app = Starlette()", "app.add_websocket_route('/', C.as_asgi())", "app.add_websocket_route"),
]


@pytest.mark.parametrize(("made", "before", "after"), ROUTES)
def test_routes(made: str, before: str, after: str, tmp_path: Path) -> None:
    arguments = before.partition("(")[2]
    assert port(tmp_path, f"{made}\n{before}\n") == f"{made}\n{after}({arguments}\n"


def test_everything_else_in_a_file_stays_byte_for_byte(tmp_path: Path) -> None:
    source = (
        "#!/usr/bin/env python\r\n# -*- coding: utf-8 -*-\r\n'''Döc'''\r\n"
        "from   channels.layers import(get_channel_layer)   # odd\r\n\r\nx=[1,\t2 ]\r\n"
    )
    file = tmp_path / "odd.py"
    file.write_bytes(source.encode())
    ((_, after),) = ported({file: file.read_bytes()}, DjangoNames.keep)
    assert after.decode() == source.replace("channels.layers", "compat.layers")


def test_a_dry_run_shows_a_diff_and_writes_nothing(tmp_path: Path) -> None:
    source = "from channels.layers import get_channel_layer\n"
    (tmp_path / "a.py").write_text(source)
    code, output = run(tmp_path)
    assert code == 0 and "+from compat.layers import get_channel_layer" in output
    assert "No file was written: add --write" in output and (tmp_path / "a.py").read_text() == source
    assert run(tmp_path, "--write")[0] == 0
    assert (tmp_path / "a.py").read_text() == source.replace("channels", "compat")
    assert "nothing to port in 1 file" in run(tmp_path, "--write")[1]


def test_an_app_without_settings_is_told_what_the_site_needs(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("from django.urls import path\nfrom channels.layers import get_channel_layer\n")
    hint = 'No INSTALLED_APPS in these files has "django_shim.with_django"'
    assert hint in run(tmp_path, "--django", "keep")[1]
    assert hint not in run(tmp_path, "--django", "shim")[1]
    (tmp_path / "settings.py").write_text("INSTALLED_APPS = ['channels']\n")
    assert hint not in run(tmp_path, "--django", "keep")[1]


def git(folder: Path, *arguments: str) -> None:
    command = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", *arguments]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def test_a_dirty_work_tree_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("from channels.layers import get_channel_layer\n")
    git(tmp_path, "init")
    code, output = run(tmp_path, "--write")
    assert code == 1 and "uncommitted changes" in output and "--force" in output, "git has not got it yet"
    assert run(tmp_path)[0] == 0, "a diff harms nobody"
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    (tmp_path / "notes.txt").write_text("not ours to touch")
    assert run(tmp_path, "--write")[0] == 0
    code, output = run(tmp_path, "--write")
    assert code == 1 and "a.py" in output
    assert run(tmp_path, "--write", "--force")[0] == 0


def test_a_file_that_is_no_python_is_left_and_named(tmp_path: Path) -> None:
    (tmp_path / "old.py").write_text("import channels\nprint 'hello'\n")
    code, output = run(tmp_path, "--write")
    assert code == 1 and "not changed, because it cannot be read: Missing parentheses" in output
    assert "(line 2)" in output and "<unknown>" not in output
    assert "1 of 1 file cannot be read" in output and "nothing to port in 0 files" in output
    assert (tmp_path / "old.py").read_text() == "import channels\nprint 'hello'\n"


def test_without_libcst_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("import channels\n")
    code = (
        "import sys\nsys.modules['libcst'] = None\n"
        f"from compat.cli import main\nsys.argv[1:] = ['port', {str(tmp_path)!r}]\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert 'pip install "channels-compat[port]"' in done.stderr and "Traceback" not in done.stderr


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    code, output = run(tmp_path / "nowhere")
    assert code == 1 and "there is no" in output


def test_a_file_that_is_nested_too_deeply_does_not_end_the_port(tmp_path: Path) -> None:
    deep = "INSTALLED_APPS = ['channels']\nX = " + "+".join(["1"] * 3000) + "\n"
    (tmp_path / "deep.py").write_text(deep)
    (tmp_path / "a.py").write_text("from channels.layers import get_channel_layer\n")
    (tmp_path / "settings.py").write_text("from deep import *\nINSTALLED_APPS += ['chat', 'daphne']\n")
    code, output = run(tmp_path, "--write")
    assert code == 1 and "deep.py: not changed, because it cannot be read: its code is nested" in output
    assert "1 of 3 files cannot be read" in output and "2 of 3 files ported" in output
    assert (tmp_path / "deep.py").read_text() == deep


def test_the_diff_of_a_file_with_other_ends_of_lines_can_be_applied(tmp_path: Path) -> None:
    source = "import channels.layers\n\f\nX = '\x0b\x85\u2028'\r\nlayer = channels.layers\n# end"
    (tmp_path / "a.py").write_bytes(source.encode())
    _, output = run(tmp_path)
    diff = output[: output.index("1 of 1 file")]
    assert diff.count("No newline") == 1 and " \f\n" in diff
    (tmp_path / "plain.py").write_bytes(b"import channels.layers\n\f\nlayer = channels.layers\n")
    (tmp_path / "a.py").unlink()
    diff = run(tmp_path)[1].partition("1 of 1 file")[0]
    done = subprocess.run(
        ["git", "apply"], cwd=tmp_path, input=diff.encode(), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "plain.py").read_bytes() == b"import compat.layers\n\f\nlayer = compat.layers\n"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may give files away")
def test_a_file_keeps_its_owner(tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("import channels.layers\n")
    os.chown(file, 12345, 12346)
    file.chmod(0o750)
    assert run(tmp_path, "--write")[0] == 0
    found = file.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (12345, 12346, 0o750)


def test_changes_in_a_repository_inside_are_refused(tmp_path: Path) -> None:
    inside = tmp_path / "site" / "lib"
    inside.mkdir(parents=True)
    (inside / "a.py").write_text("from channels.layers import get_channel_layer\n")
    (tmp_path / "site" / "main.py").write_text("import json\n")
    git(tmp_path, "init")
    git(inside, "init")
    git(tmp_path, "add", "site/main.py")
    git(tmp_path, "commit", "-m", "first")
    for folder in (tmp_path, tmp_path / "site", inside):
        code, output = run(folder, "--write")
        assert code == 1 and "uncommitted changes" in output and "a.py" in output
    git(inside, "add", ".")
    git(inside, "commit", "-m", "first")
    assert run(tmp_path / "site", "--write")[0] == 0


@pytest.mark.parametrize("inside", ["submodule", "ignored", "alone"])
def test_changes_in_a_repository_that_git_does_not_look_into_are_refused(inside: str, tmp_path: Path) -> None:
    """Was: they were mixed with the port."""
    lib = tmp_path / "site" / "lib"
    lib.mkdir(parents=True)
    (lib / "a.py").write_text("from channels.layers import get_channel_layer\n")
    git(lib, "init")
    git(lib, "add", ".")
    git(lib, "commit", "-m", "first")
    if inside != "alone":
        git(tmp_path, "init")
        (tmp_path / ".gitignore").write_text("lib\n" if inside == "ignored" else "")
        git(tmp_path, "add", ".")
        git(tmp_path, "commit", "-m", "first")
    with (lib / "a.py").open("a") as file:
        file.write("import json\n")
    code, output = run(tmp_path / "site", "--write")
    assert code == 1 and "uncommitted changes (lib/a.py)" in output
    git(lib, "commit", "-a", "-m", "second")
    assert run(tmp_path / "site", "--write")[0] == 0


def test_the_version_of_channels_is_reported(tmp_path: Path) -> None:
    """Was: it became that of channels-compat in silence, and a condition with it chose the other branch."""
    source = (
        "import channels\nfrom channels import __version__ as v\n"
        "x = v, v\ny = channels.__version__, channels.__version__\n"
    )
    (tmp_path / "a.py").write_text(source)
    _, output = run(tmp_path, "--write")
    for line in (3, 4):
        said = f"a.py:{line}: compat.__version__ is the version of channels-compat, not of Channels"
        assert output.count(said) == 1
    assert "a.py:3" not in run(tmp_path)[1]


def test_a_file_that_is_left_out_is_no_failure_unless_it_is_named(tmp_path: Path) -> None:
    """Was: exit code 0 also if it was named."""
    large, link = tmp_path / "large.py", tmp_path / "link.py"
    large.write_text(f"import channels\nX = {'1' * 1024 * 1024!r}\n")
    (tmp_path / "a.py").write_text("from channels.layers import get_channel_layer\n")
    link.symlink_to("a.py")
    code, output = run(tmp_path)
    assert code == 0 and "large.py: not changed, because it is larger" in output
    assert "link.py: not changed, because it is a link" in output and "1 of 1 file would change" in output
    for file in (large, link):
        code, output = run(file)
        assert code == 1 and f"{file.name}: not changed" in output and "1 of 1 file cannot be read" in output


def test_a_compat_of_the_project_is_refused_before_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "compat.py").touch()
    (tmp_path / "a.py").write_text("import channels\nprint 'hello'\n")
    code, output = run(tmp_path)
    assert code == 1 and "the name 'compat' is taken" in output and "a.py" not in output


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    """Was: there is nothing to port. The name of the new file is too long for the system."""
    file = tmp_path / f"{'a' * 249}.py"
    file.write_text("from channels.layers import get_channel_layer\n")
    code, output = run(tmp_path, "--write")
    assert code == 1 and "cannot be written: File name too long" in output
    assert "0 of 1 file ported" in output and "nothing to port" not in output


@pytest.mark.parametrize("command", ["check", "port"])
def test_what_the_system_does_not_read(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Was: a traceback, and silence about the folder."""
    done = CliRunner().invoke(app, [command, str(tmp_path / ("a" * 300))])
    assert done.exit_code == 1 and "cannot be read: File name too long" in done.output
    (tmp_path / "a.py").touch()
    monkeypatch.chdir(tmp_path)
    for _ in range(17):
        os.mkdir("b" * 250)
        os.chdir("b" * 250)
    done = CliRunner().invoke(app, [command, str(tmp_path)])
    assert done.exit_code == 0 and "b: not " in done.output and "because File name too long" in done.output
