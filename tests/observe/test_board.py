"""The Grafana board and the alert rules in deploy/: promtool takes them, and they ask for what is counted."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from compat import metrics, timings
from compat.layers import InMemoryChannelLayer, register_channel_layer, unregister_channel_layer
from compat.prometheus import endpoint
from tests.support.debian import program
from tests.support.paths import REPO

DEPLOY = REPO / "deploy"
METRIC = re.compile(r"channels_\w+")


def board() -> Any:
    return json.loads((DEPLOY / "grafana.json").read_text(encoding="utf-8"))


def asked_by_the_board() -> list[str]:
    shown = [target["expr"] for panel in board()["panels"] for target in panel["targets"]]
    return [*shown, *(one["expr"] for one in board()["annotations"]["list"])]


class NoInbox:
    """That of a connection to which nobody has sent."""

    def take_due(self) -> float:
        return 0.0


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process that has counted something of each kind."""
    layer = InMemoryChannelLayer()
    layer.metrics.lose("overflow")
    register_channel_layer("default", layer)
    counts = {"live": 1, "parked": 1, "resumed": 1, "replaced": 1, "groups": 1, "lost": {"gone": 1}}
    monkeypatch.setattr(metrics, "_resumable", lambda: counts)
    monkeypatch.setattr(timings, "_watched", True)
    monkeypatch.setattr(timings, "_classes", {})
    timings.timing_of(type(layer), NoInbox(), layer)
    yield
    unregister_channel_layer("default")


async def test_what_is_asked_for_is_on_the_page(page: None) -> None:
    transport = httpx.ASGITransport(Starlette(routes=[Route("/metrics", endpoint)]))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        text = (await client.get("/metrics")).text
    known = {line.partition("{")[0].partition(" ")[0] for line in text.splitlines() if line[:1] != "#"}
    rules = (DEPLOY / "alerts.yaml").read_text(encoding="utf-8")
    asked = {name for text in (*asked_by_the_board(), rules) for name in METRIC.findall(text)}
    assert asked - known == set() and len(asked) > 15


def test_the_board_has_no_two_panels_in_one_place() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in board()["panels"]:
        where = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(where["x"], where["x"] + where["w"])
            for y in range(where["y"], where["y"] + where["h"])
        }
        assert not cells & taken and where["x"] + where["w"] <= 24, panel["title"]
        taken |= cells
    ids = [panel["id"] for panel in board()["panels"]]
    assert len(set(ids)) == len(ids)


@pytest.mark.slow
def test_promtool_takes_them(tmp_path: Path) -> None:
    promtool = program("prometheus", "usr/bin/promtool")
    rules = []
    for number, expression in enumerate(asked_by_the_board()):
        filled = expression.replace("$__rate_interval", "5m").replace("$layer", ".*")
        rules.append({"record": f"board:{number}", "expr": filled})
    (tmp_path / "board.yaml").write_text(json.dumps({"groups": [{"name": "board", "rules": rules}]}))
    for command in (
        ("check", "rules", str(DEPLOY / "alerts.yaml")),
        ("check", "rules", str(tmp_path / "board.yaml")),
        ("test", "rules", str(DEPLOY / "alerts_test.yaml")),
    ):
        done = subprocess.run([promtool, *command], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
