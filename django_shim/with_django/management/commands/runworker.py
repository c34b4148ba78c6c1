"""``manage.py runworker CHANNEL …`` for a project on the real Django."""

# mypy: disable-error-code="misc"
# pyright: reportMissingImports=false
from __future__ import annotations

import logging
from typing import Any

from django.core.management import BaseCommand, CommandError

from compat.exceptions import LayerUnavailable
from compat.layers import DEFAULT_CHANNEL_LAYER, get_channel_layer
from compat.routing import get_default_application
from compat.worker import Worker
from compat.worker.application import problem_of

__all__ = ["Command"]

logger = logging.getLogger("django.channels.worker")


class Command(BaseCommand):
    """Passes the messages of named channels to the consumers under "channel" in ASGI_APPLICATION."""

    help = "Runs consumers for messages that are sent to channels by name."
    leave_locale_alone = True
    worker_class = Worker

    def add_arguments(self, parser: Any) -> None:
        super().add_arguments(parser)
        parser.add_argument("channels", nargs="+", help="Channels to listen on.")
        parser.add_argument(
            "--layer",
            default=DEFAULT_CHANNEL_LAYER,
            help="Alias of the channel layer (default: %(default)s).",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        alias = options.get("layer", DEFAULT_CHANNEL_LAYER)
        self.verbosity = options.get("verbosity", 1)
        self.channel_layer = get_channel_layer(alias)
        if self.channel_layer is None:
            raise CommandError(
                f"You do not have any CHANNEL_LAYERS configured. (No layer has the alias {alias!r}.)"
            )
        logger.info("Running worker for channels %s", options["channels"])
        application = get_default_application()
        if problem := problem_of(application, options["channels"]):
            logger.warning("ASGI_APPLICATION: %s", problem)  # no error: upstream's runworker begins, too
        worker: Any = self.worker_class(
            application=application,
            channels=options["channels"],
            channel_layer=self.channel_layer,
        )
        try:
            worker.run()
        except LayerUnavailable as error:
            raise CommandError(str(error)) from error
