"""The servers that serve ASGI, and how each is started."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.environments import environment

__all__ = ["KINDS", "Kind", "marked"]

UVICORN = ("python", "-m", "uvicorn", "{app}", "--port", "{port}", "--log-level", "warning")
GRANIAN = ("granian", "{app}", "--interface", "asgi", "--host", "127.0.0.1", "--port", "{port}")


@dataclass(frozen=True)
class Kind:
    """A server, and how it is started."""

    name: str
    environment: str
    command: tuple[str, ...]
    few_codes: bool = False
    """It takes 1000 and 3000 to 4999 only."""
    tells_codes: bool = True
    """Applications learn with which code a client has left; without, it is always 1006."""
    stops_at_once: bool = False
    """When it stops, a thread that runs a handler may not come to its end."""

    def code(self, code: int) -> int:
        """The code that a client of this server sees."""
        return code + 3000 if self.few_codes and 1000 < code < 3000 else code

    def serving(self, app: str) -> list[str]:
        """The command that serves an application, such as "module:app", for ``served``."""
        first, *others = self.command
        return [
            environment(self.environment).path(first),
            *(app if one == "{app}" else one for one in others),
        ]


KINDS = [
    Kind("uvicorn", "bare", UVICORN),
    Kind(
        "hypercorn",
        "hypercorn",
        ("hypercorn", "{app}", "--bind", "127.0.0.1:{port}"),
        tells_codes=False,
    ),
    Kind("uvicorn-legacy", "bare", (*UVICORN, "--ws", "websockets")),
    Kind("uvicorn-wsproto", "bare", (*UVICORN, "--ws", "wsproto")),
    Kind("uvicorn-0.30", "uvicorn-0.30", UVICORN),
    Kind("uvicorn-0.30-wsproto", "uvicorn-0.30", (*UVICORN, "--ws", "wsproto")),
    Kind("uvicorn-0.35", "uvicorn-0.35", UVICORN),
    Kind("uvicorn-0.35-sansio", "uvicorn-0.35", (*UVICORN, "--ws", "websockets-sansio")),
    Kind("uvicorn-0.35-wsproto", "uvicorn-0.35", (*UVICORN, "--ws", "wsproto")),
    Kind(
        "daphne",
        "daphne",
        ("daphne", "-b", "127.0.0.1", "-p", "{port}", "{app}"),
        few_codes=True,
        stops_at_once=True,
    ),
    # Its threads may block each other when it stops (2.8.9); it then ends the worker.
    Kind("granian", "granian", (*GRANIAN, "--workers-kill-timeout", "10")),
]


def marked(in_every_run: Collection[str]) -> list[Any]:
    """The kinds as parameters; those that are not named are slow."""
    return [
        pytest.param(kind, id=kind.name, marks=() if kind.name in in_every_run else pytest.mark.slow)
        for kind in KINDS
    ]
