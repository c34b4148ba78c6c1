"""``check`` and ``port`` of projects on the package index's fastapi_channels, which is another library."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from compat.cli.app import app

OURS = "from fastapi_channels import ConnectionManager\nfrom fastapi_channels.config import WSConfig\n"
RULES = (
    "from fastapi_channels.exceptions import ConnectionError, NotFound\n"
    "from fastapi_channels import exceptions\n"
    "import fastapi_channels\n"
    "import channels.layers\n"
    "patch('fastapi_channels.exceptions.BaseError')\n"
    "import_module('fastapi_channels.config')\n"
)

ONLY_OF_THE_OTHER = [
    ("from fastapi_channels import FastAPIChannel, add_channel", "FastAPIChannel"),
    ("import fastapi_channels\nfastapi_channels.add_channel(app)", "add_channel"),
    ("import fastapi_channels.channels", "channels"),
    ("from fastapi_channels.throttling.ext.memory import MemoryLimiter", "throttling"),
    ("from fastapi_channels import permission", "permission"),
    ("from fastapi_channels.exceptions import WebSocketException", "exceptions.WebSocketException"),
    ("from fastapi_channels import exceptions\nraise exceptions.PermissionDenied()", "exceptions.Permission"),
    ("from fastapi_channels import exceptions as e\ndef f():\n    raise e.ParseError()", "exceptions.Parse"),
    ("if 0:\n    from fastapi_channels.decorators import action", "decorators"),
    ("patch('fastapi_channels.channels.Channel.connect')", "channels"),
]
NOT_OF_THE_OTHER = [
    OURS,
    "from fastapi_channels.exceptions import ConnectionError, SystemError as S, TimeoutError",
    "from fastapi_channels import exceptions, middleware\nraise exceptions.BaseError()",
    "from .channels import add_channel\nfrom fastapi_channels import BaseConsumer",
]


def said(command: str, folder: Path, *options: str) -> str:
    return CliRunner().invoke(app, [command, str(folder), "--django", "keep", *options]).output


@pytest.mark.parametrize(("source", "name"), ONLY_OF_THE_OTHER)
def test_one_use_of_the_other_library_keeps_all_imports_of_its_name(
    source: str, name: str, tmp_path: Path
) -> None:
    (tmp_path / "main.py").write_text(source)
    (tmp_path / "rules.py").write_text(RULES.replace("NotFound", "BaseError"))
    said("port", tmp_path, "--write")
    assert (tmp_path / "main.py").read_text() == source
    kept = RULES.replace("NotFound", "BaseError").replace("import channels", "import compat")
    assert (tmp_path / "rules.py").read_text() == kept


@pytest.mark.parametrize(("source", "name"), ONLY_OF_THE_OTHER)
def test_check_and_port_say_why_in_the_same_line(source: str, name: str, tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(source)
    (tmp_path / "ours.py").write_text(OURS)
    (line,) = re.findall(r"^main\.py:\d+: (.*)$", said("port", tmp_path), re.MULTILINE)
    assert line.startswith(f"all imports of fastapi_channels are left: fastapi_channels.{name}")
    checked = said("check", tmp_path)
    assert checked.count(line) == 1 and "port writes" not in checked and "no equal" not in checked


@pytest.mark.parametrize("source", NOT_OF_THE_OTHER)
def test_the_names_of_the_manager_are_ported(source: str, tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(source)
    assert "port writes compat.manager" in said("check", tmp_path)
    assert "main.py:" not in said("port", tmp_path, "--write")
    assert (tmp_path / "main.py").read_text() == source.replace("fastapi_channels", "compat.manager")


OWN = (
    "import channels.db\nfrom channels.worker import Worker\nchannels.db.connect()\npatch('channels.db.x')\n"
)
LIBRARYS = "from channels.layers import get_channel_layer\n"


def written(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.mark.parametrize("package", ["channels/__init__.py", "src/channels/__init__.py", "README.md"])
@pytest.mark.parametrize("named", ["", "main.py"])
def test_a_package_of_the_project_is_no_library(package: str, named: str, tmp_path: Path) -> None:
    below = package.removesuffix("__init__.py") if package.endswith(".py") else "channels/"
    modules = {f"{below}{name}.py": "def connect(): pass\n" for name in ("db", "worker")}
    main = f"{'src/' if 'src' in package and named else ''}main.py"
    written(tmp_path, {package: "", main: OWN, **modules})
    command = tmp_path / main if named else tmp_path
    assert "main.py" not in said("port", command, "--write")
    assert (tmp_path / main).read_text() == OWN
    if not named:
        assert "4 of 4" in said("check", tmp_path) or "3 of 3" in said("check", tmp_path)


NOT_ON_THE_PATH = [  # the file imports what only the library has
    ("app/channels.py", "app/main.py"),
    ("apps/channels/__init__.py", "apps/rooms.py"),
    ("channels.py", "main.py"),
    ("src/channels/__init__.py", "src/chat/main.py"),
]


@pytest.mark.parametrize(("namesake", "file"), NOT_ON_THE_PATH)
def test_a_module_with_the_name_of_a_library_hides_it_only_if_it_has_what_is_imported(
    namesake: str, file: str, tmp_path: Path
) -> None:
    written(tmp_path, {namesake: "", file: f"import channels\n{LIBRARYS}"})
    assert f"{file}:" not in said("port", tmp_path, "--write")
    assert (tmp_path / file).read_text().endswith(LIBRARYS.replace("channels", "compat"))
    assert "does not exist" not in said("check", tmp_path)


def test_a_folder_named_django_around_the_project_is_not_django(tmp_path: Path) -> None:
    source = "from django.core.cache import cache\nfrom django.core import signing\n"
    written(tmp_path, {"django/manage.py": "", "django/core/__init__.py": "", "django/core/views.py": source})
    CliRunner().invoke(app, ["port", str(tmp_path), "--django", "shim", "--write"])
    assert (tmp_path / "django/core/views.py").read_text() == source.replace("django", "django_shim.django")


def test_a_package_elsewhere_in_the_project_hides_no_library(tmp_path: Path) -> None:
    files = {"tools/channels.py": "", "main.py": LIBRARYS, "channels/README.py": "", "django/manage.py": ""}
    written(tmp_path, files)
    said("port", tmp_path, "--write")
    assert (tmp_path / "main.py").read_text() == LIBRARYS.replace("channels", "compat")


def test_a_folder_without_modules_hides_no_library(tmp_path: Path) -> None:
    """A file without imports of the library, too, means the library with its strings."""
    settings = 'CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}\n'
    written(tmp_path, {"channels/logo.txt": "", "settings.py": settings})
    said("port", tmp_path, "--write")
    assert (tmp_path / "settings.py").read_text() == settings.replace("channels.", "compat.")


def test_a_module_in_a_folder_without_init_is_no_library(tmp_path: Path) -> None:
    source = "from channels import worker\n"
    written(tmp_path, {"channels/worker.py": "", "main.py": source})
    assert "main.py" not in said("port", tmp_path, "--write")
    assert (tmp_path / "main.py").read_text() == source


def test_an_installed_library_beside_an_installed_package_is_that(tmp_path: Path) -> None:
    folder = tmp_path / "site-packages"
    written(folder, {"channels/__init__.py": "", "channels/layers.py": "", "addon/__init__.py": ""})
    written(folder, {"addon/main.py": LIBRARYS})
    said("port", folder / "addon", "--write")
    assert (folder / "addon" / "main.py").read_text() == LIBRARYS.replace("channels", "compat")


def test_a_module_has_its_whole_name_from_inside_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, {"chat/__init__.py": "", "chat/rooms/__init__.py": "", "chat/rooms/main.py": ""})
    monkeypatch.chdir(tmp_path / "chat" / "rooms")
    for folder in (".", "../rooms"):
        assert '"module": "chat.rooms.main"' in said("check", Path(folder), "--json")


@pytest.mark.parametrize("ours", [LIBRARYS, LIBRARYS.replace("channels", "compat")])
def test_a_compat_beside_the_files_is_refused(ours: str, tmp_path: Path) -> None:
    files = {"src/compat.py": "", "src/chat/__init__.py": "", "src/chat/main.py": ours, "tools/compat.py": ""}
    written(tmp_path, files)
    for folder in (tmp_path, tmp_path / "src", tmp_path / "src" / "chat"):
        if ours == LIBRARYS:
            result = CliRunner().invoke(app, ["port", str(folder), "--write"])
            assert result.exit_code == 1 and "src/compat.py hides the package 'compat'" in result.output
        result = CliRunner().invoke(app, ["check", str(folder)])
        assert result.exit_code == 4 and "src/compat.py hides the package 'compat'" in result.output
        assert "tools/compat.py hides" not in result.output
    (tmp_path / "src" / "compat.py").unlink()
    assert "hides" not in said("port", tmp_path) + said("check", tmp_path)


@pytest.mark.parametrize("beside", ["def f(channels=2): pass\n", "from django.conf import settings\n"])
def test_a_compat_beside_files_without_ours_is_no_matter(beside: str, tmp_path: Path) -> None:
    written(tmp_path, {"ml/compat.py": "", "ml/audio.py": beside, "main.py": LIBRARYS})
    assert "hides" not in said("check", tmp_path) + said("port", tmp_path, "--write")
    assert (tmp_path / "main.py").read_text() == LIBRARYS.replace("channels", "compat")
    CliRunner().invoke(app, ["port", str(tmp_path), "--django", "shim"])
    result = CliRunner().invoke(app, ["check", str(tmp_path), "--django", "shim"])
    assert ("ml/compat.py hides" in result.output) == ("django" in beside)


def test_a_compat_that_is_not_read_is_reported(tmp_path: Path) -> None:
    written(tmp_path, {"compat.py": "#" * (1 << 20) + "\n"})
    result = CliRunner().invoke(app, ["check", str(tmp_path)])
    assert result.exit_code == 4 and "compat.py hides" in result.output and "not read" in result.output


def test_a_compat_above_the_current_folder_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, {"compat.py": "", "chat/__init__.py": "", "chat/rooms/__init__.py": ""})
    written(tmp_path, {"chat/rooms/main.py": LIBRARYS})
    monkeypatch.chdir(tmp_path / "chat" / "rooms")
    for named in (".", "main.py", "..", "../rooms/main.py"):
        result = CliRunner().invoke(app, ["port", named])
        assert result.exit_code == 1 and "compat.py hides" in result.output
        assert "compat.py hides" in CliRunner().invoke(app, ["check", named]).output
