"""The same scripts inside a process with real Channels, and inside one with ours: one script per area.

Where test_parity.py looks at what clients of a server see, this looks at what the names of Channels return
and raise. Differences are rows of docs/differences.md, as there.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest

from tests.parity.differences import check, compare
from tests.shim.running import SHIMMED
from tests.support.environments import ENVIRONMENTS, Environment, environment, in_each

FOLDER = Path(__file__).parent
AREAS = sorted(path.stem for path in (FOLDER / "areas").glob("[!_]*.py"))


@cache
def transcripts(name: str, shimmed: bool) -> dict[str, list[str]]:
    """What every script writes in this environment."""
    variables = SHIMMED if shimmed else {}
    done = environment(name).run("python", "-m", "areas", cwd=FOLDER, env=variables, deadline_s=240)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


PLACES = [
    pytest.param(area, *place.values, marks=place.marks)
    for area in AREAS
    for place in in_each(ENVIRONMENTS[1:] if area.startswith("django_") else ENVIRONMENTS)
]


@pytest.mark.timeout(480)  # the first one runs all scripts of both sides, and upstream's wait for timeouts
@pytest.mark.parametrize(("area", "env"), PLACES, indirect=["env"])
def test_an_area_answers_as_channels_does(area: str, env: Environment) -> None:
    upstream, ours = transcripts("channels", False)[area], transcripts(env.name, True)[area]
    failed = [line for line in (*upstream, *ours) if line.startswith("the script failed")]
    assert not failed, failed[0]
    case = f"area-{area.replace('_', '-')}"
    check(case, compare(case, upstream, ours))
