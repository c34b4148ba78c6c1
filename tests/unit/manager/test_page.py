"""docs/manager.md: its application runs, and its tables are true."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import httpx

from compat.manager import ConnectionManager, WSConfig
from tests.support.clients import Client, get
from tests.support.paths import REPO
from tests.support.servers import served

PAGE = (REPO / "docs" / "manager.md").read_text(encoding="utf-8")


def test_the_application_of_the_page(tmp_path: Path) -> None:
    found = re.search(r'^```python title="main.py"\n(.*?)^```$', PAGE, re.M | re.S)
    assert found is not None
    (tmp_path / "main.py").write_text(found[1], encoding="utf-8")
    command = [str(Path(sys.executable).parent / "uvicorn"), "main:app", "--port", "{port}"]
    log = tmp_path / "server.log"
    with served(command, cwd=tmp_path, log=log) as server:
        with Client(server, "/ws/ann") as ann, Client(server, "/ws/bob") as bob:
            bob.send_json({"type": "say", "data": "hi"})
            for client in (ann, bob):
                assert client.receive_json() == {"type": "say", "data": "hi", "from": "bob"}
            assert httpx.post(server.http("/announce?message=x"), trust_env=False).status_code == 200
            assert bob.receive_json()["message"] == "x" == ann.receive_json()["message"]
            bob.close()
            assert ann.receive_json() == {"type": "left", "from": "bob"}
        assert get(server, "/status").status_code == 403
    assert "Traceback" not in log.read_text()


def test_the_settings_of_the_page() -> None:
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| `?([^|`]+?)`? \|", PAGE, re.M))
    assert set(rows) == set(WSConfig.model_fields)
    for name, shown in rows.items():
        if name != "SERVER_INSTANCE_ID":
            assert str(getattr(WSConfig(), name)).lower() == shown.lower(), name


def test_the_methods_of_the_page() -> None:
    for name in re.findall(
        r"`(?:await )?(?:manager\.)?((?:count|list|get|send|join|leave|disconnect)_\w+)[`(]", PAGE
    ):
        if name not in ("get_manager", "send_json"):
            assert hasattr(ConnectionManager, name), name
