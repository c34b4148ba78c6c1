"""One process of the development server: it loads the application and replaces layers whose Redis is away.

uvicorn calls ``application()`` in every process that it starts and after each reload. The environment
variable ``VARIABLE`` holds the ``Plan`` for these processes. A server in this process has its plan by
``application_of()``.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from compat.cli.application import failure, load_application
from compat.cli.embedded import LayerState, embed_unreachable, layer_states
from compat.configured import require_right
from compat.engine.refusal import listed
from compat.exceptions import CompatError, ImproperlyConfigured, InvalidChannelLayerError
from compat.security.origin import unchecked_sockets
from compat.settings import settings

__all__ = ["VARIABLE", "Load", "Plan", "Prepared", "application", "application_of", "prepare"]

Load = str | Callable[[str], Any]
"""Makes the application from its name ("module:name"): a function, or its own name for another process."""

VARIABLE = "COMPAT_DEVELOPMENT_SERVER"
FAILED = 1


@dataclass(frozen=True)
class Plan:
    """The arguments of ``serve()``, passed to the server processes."""

    application: str
    load: Load
    url: str
    reload: bool
    workers: int

    def as_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_environment(cls) -> Plan:
        return cls(**json.loads(os.environ[VARIABLE]))


@dataclass
class Prepared:
    """A loaded application and its channel layers."""

    plan: Plan
    app: Any
    layers: list[LayerState] = field(default_factory=list)

    def announce(self) -> None:
        """Print the URL, the application and each layer on a line of its own."""
        reloading = ", loaded anew when a file changes" if self.plan.reload else ""
        workers = f", {self.plan.workers} processes" if self.plan.workers > 1 else ""
        say(f"Serving      {self.plan.url}  (Ctrl-C ends it)")
        say(f"Application  {self.plan.application}{reloading}{workers}")
        for layer in self.layers:
            say(f"Layer        {layer}")
        if not self.layers:
            say("Layers       none (CHANNEL_LAYERS is empty): consumers cannot send messages to each other")
        if unchecked := unchecked_sockets(self.app):
            say(
                f"Origin       not checked for {listed(unchecked)}: pages of any site can open sockets "
                "there with your visitors' cookies (add AllowedHostsOriginValidator)"
            )


def application() -> Any:
    """Return the application; uvicorn calls this factory in a process of its own."""
    return application_of(Plan.from_environment())


def application_of(plan: Plan) -> Any:
    """Return the application of ``plan``, announced; exit with the reason if it cannot be loaded."""
    if plan.workers > 1:  # the parent process has prepared and announced the application
        logging.getLogger("uvicorn.error").setLevel("INFO")
        return load_by(plan)
    try:
        prepared = prepare(plan)
    except (CompatError, ImproperlyConfigured, InvalidChannelLayerError) as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        raise SystemExit(FAILED) from None
    except Exception as error:  # noqa: BLE001 - a project may raise any error during its import
        print(failure(error) or traceback.format_exc(), file=sys.stderr, flush=True)
        raise SystemExit(FAILED) from None
    prepared.announce()
    logging.getLogger("uvicorn.error").setLevel("INFO")
    return prepared.app


def prepare(plan: Plan) -> Prepared:
    """Load the application of ``plan``, with layers in memory in place of those whose server does not
    answer.
    """
    # Before the import for applications that use a layer during it, and after it for applications that
    # configure their layers themselves.
    embedded = embed_unreachable(say)
    app = load_by(plan)
    require_right()
    embedded |= embed_unreachable(say)
    return Prepared(plan, app, layer_states(embedded))


def load_by(plan: Plan) -> Any:
    load = load_application(plan.load) if isinstance(plan.load, str) else plan.load
    found = load(plan.application)
    if not settings.is_set("CHANNEL_FALLBACK"):
        settings.adopt(CHANNEL_FALLBACK=True)  # so that a blocked websocket can be tried
    return found


def say(line: str) -> None:
    """Print a line and flush, so that it precedes what libraries write to stderr."""
    print(line, flush=True)
