"""One process of the development server: find the application, make up for a Redis that is not there, say so.

uvicorn calls ``application()`` in every process that it starts, also after each reload; what to serve comes
through the environment, as it does for everything else that a spawned process is told.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from dataclasses import asdict, dataclass, field
from typing import Any

from compat.cli.application import failure, load_application
from compat.cli.embedded import LayerState, embed_unreachable, layer_states
from compat.exceptions import CompatError, ImproperlyConfigured, InvalidChannelLayerError
from compat.refusal import listed
from compat.security.coverage import unchecked_sockets

__all__ = ["VARIABLE", "Plan", "Prepared", "application", "prepare"]

VARIABLE = "COMPAT_DEVELOPMENT_SERVER"
FAILED = 1


@dataclass(frozen=True)
class Plan:
    """What ``serve()`` was asked for, on its way to the server processes."""

    application: str
    load: str
    url: str
    reload: bool
    workers: int
    log_level: str

    def as_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_environment(cls) -> Plan:
        return cls(**json.loads(os.environ[VARIABLE]))


@dataclass
class Prepared:
    """A loaded application and the layers that it has."""

    plan: Plan
    app: Any
    layers: list[LayerState] = field(default_factory=list)

    def announce(self) -> None:
        """Say where, what and with which layers, a line each."""
        reloading = ", loaded anew when a file changes" if self.plan.reload else ""
        workers = f", {self.plan.workers} processes" if self.plan.workers > 1 else ""
        say(f"Serving      {self.plan.url}  (Ctrl-C ends it)")
        say(f"Application  {self.plan.application}{reloading}{workers}")
        for layer in self.layers:
            say(f"Layer        {layer}")
        if not self.layers:
            say("Layers       none (CHANNEL_LAYERS is empty): consumers cannot send to each other")
        if unchecked := unchecked_sockets(self.app):
            say(
                f"Origin       not checked for {listed(unchecked)}: pages of any site can open sockets "
                "there, with your visitors' cookies (AllowedHostsOriginValidator checks it)"
            )


def application() -> Any:
    """The factory that uvicorn is given."""
    plan = Plan.from_environment()
    if plan.workers > 1:  # looked at and announced already, by the process that started this one
        logging.getLogger("uvicorn.error").setLevel(plan.log_level.upper())
        return load_by(plan)
    try:
        prepared = prepare(plan)
    except (CompatError, ImproperlyConfigured, InvalidChannelLayerError) as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        raise SystemExit(FAILED) from None
    except Exception as error:  # noqa: BLE001 - whatever the project raises while it is imported
        print(failure(error) or traceback.format_exc(), file=sys.stderr, flush=True)
        raise SystemExit(FAILED) from None
    prepared.announce()
    logging.getLogger("uvicorn.error").setLevel(plan.log_level.upper())
    return prepared.app


def prepare(plan: Plan) -> Prepared:
    """Load the application of ``plan``, with layers in memory where the configured server does not answer."""
    # Before the application is imported, for those that take their layer while they are; and again after, for
    # those that configure their layers themselves.
    embedded = embed_unreachable(say)
    app = load_by(plan)
    embedded |= embed_unreachable(say)
    return Prepared(plan, app, layer_states(embedded))


def load_by(plan: Plan) -> Any:
    load = load_application(plan.load)
    return load(plan.application)


def say(line: str) -> None:
    """A line on stdout, at once: the next may come from a library, on stderr."""
    print(line, flush=True)
