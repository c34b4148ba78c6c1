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
