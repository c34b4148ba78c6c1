"""What the commands share: the options for the settings and the application, and how errors are printed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from compat.cli.application import failure
from compat.cli.printable import printable
from compat.exceptions import CompatError, ImproperlyConfigured, InvalidChannelLayerError

__all__ = ["Application", "Settings", "errors_explained", "use_settings"]

Settings = Annotated[
    str | None,
    typer.Option(
        "--settings",
        metavar="MODULE",
        help="The settings module, such as mysite.settings. Default: the environment variable "
        "COMPAT_SETTINGS_MODULE or DJANGO_SETTINGS_MODULE, or the settings that the application configures.",
    ),
]

Application = Annotated[
    str | None,
    typer.Argument(
        metavar="[MODULE:NAME]",
        help="The ASGI application, such as main:app. Default: the setting ASGI_APPLICATION.",
    ),
]


@contextmanager
def errors_explained() -> Iterator[None]:
    """Print an error that the user can mend without its traceback, and exit with code 1."""
    try:
        yield
    except (CompatError, ImproperlyConfigured, InvalidChannelLayerError) as error:
        typer.secho("error: " + printable(str(error), "\n"), err=True, fg=typer.colors.RED)
        raise typer.Exit(1) from None
    except Exception as error:
        text = failure(error)
        if text is None and isinstance(error, ImportError) and "pip install" in str(error):
            text = f"error: {error}"  # an extra is missing
        if text is None:
            raise
        typer.secho(printable(text, "\n"), err=True, fg=typer.colors.RED)
        raise typer.Exit(1) from None


def use_settings(module: str | None) -> None:
    """Set the settings module of this process and of the processes that it starts; also that of Django if it
    is installed, whose settings go before ours.
    """
    if not module:
        return
    from compat.cli.porting.environment import django_is_installed

    os.environ["COMPAT_SETTINGS_MODULE"] = module
    if django_is_installed():
        os.environ["DJANGO_SETTINGS_MODULE"] = module
