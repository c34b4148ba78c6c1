"""What can be typed after ``channels-compat``, and how its errors are shown."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

import compat
from compat.cli import layers as layers_command
from compat.cli import runserver as runserver_command
from compat.cli import worker as worker_command
from compat.cli.application import failure
from compat.cli.printable import printable
from compat.exceptions import CompatError, ImproperlyConfigured, InvalidChannelLayerError

__all__ = ["app"]

app = typer.Typer(
    help="Consumers, channel layers and a development server: the Channels API without Django.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Settings = Annotated[
    str | None,
    typer.Option(
        "--settings",
        metavar="MODULE",
        help="The settings module, such as mysite.settings. Default: COMPAT_SETTINGS_MODULE or "
        "DJANGO_SETTINGS_MODULE of the environment, or what the application configures itself.",
    ),
]


@contextmanager
def errors_explained() -> Iterator[None]:
    """An error whose message is made for the person at the keyboard is shown without its traceback."""
    try:
        yield
    except (CompatError, ImproperlyConfigured, InvalidChannelLayerError) as error:
        typer.secho("error: " + printable(str(error), "\n"), err=True, fg=typer.colors.RED)
        raise typer.Exit(1) from None
    except Exception as error:
        said = failure(error)
        if said is None:
            raise
        typer.secho(printable(said, "\n"), err=True, fg=typer.colors.RED)
        raise typer.Exit(1) from None


def use_settings(module: str | None) -> None:
    """Name the settings module for this process and those that it starts."""
    if module:
        os.environ["COMPAT_SETTINGS_MODULE"] = module


def show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"channels-compat {compat.__version__}")
        raise typer.Exit


@app.callback()
def channels_compat(
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version and exit.", callback=show_version, is_eager=True),
    ] = False,
) -> None:
    pass


@app.command()
def runserver(
    application: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODULE:NAME]",
            help="The ASGI application, such as main:app. Default: the setting ASGI_APPLICATION.",
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="The address to listen on; 0.0.0.0 for every interface.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 for any that is free.")] = 8000,
    reload: Annotated[
        bool, typer.Option("--reload/--noreload", help="Start anew when a file changes.")
    ] = True,
    workers: Annotated[
        int, typer.Option(min=1, help="Processes. More than one needs Redis, and --noreload.")
    ] = 1,
    settings: Settings = None,
) -> None:
    """Serve an application while it is being developed.

    Files are watched, and a Redis that cannot be reached is replaced by memory, which is said first. In
    production run uvicorn itself: there an unreachable Redis is an error.
    """
    use_settings(settings)
    with errors_explained():
        runserver_command.serve(application, host=host, port=port, reload=reload, workers=workers)


@app.command()
def worker(
    channels: Annotated[list[str], typer.Argument(metavar="CHANNEL...", help="The channels to listen on.")],
    application: Annotated[
        str | None,
        typer.Option("--app", metavar="MODULE:NAME", help="Default: the setting ASGI_APPLICATION."),
    ] = None,
    layer: Annotated[str, typer.Option(help="The alias of the layer.")] = "default",
    settings: Settings = None,
) -> None:
    """Run consumers for messages that are sent to channels by name."""
    use_settings(settings)
    with errors_explained():
        worker_command.work(channels, application, layer=layer)


@app.command()
def layers(
    application: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODULE:NAME]",
            help="The application, where it configures layers itself. Default: settings, of manage.py too.",
        ),
    ] = None,
    settings: Settings = None,
) -> None:
    """Try each configured channel layer: is its server there, does a message go through, and how fast?

    Exit code 1 when something is wrong, or there is no layer; what it is stands in the last lines.
    """
    use_settings(settings)
    with errors_explained():
        if not layers_command.show(application):
            raise typer.Exit(1)


@app.command()
def doctor(
    application: Annotated[
        str | None,
        typer.Argument(metavar="[MODULE:NAME]", help="Default: the setting ASGI_APPLICATION."),
    ] = None,
    members: Annotated[
        int | None, typer.Option(min=1, help="People expected in one room: capacity, threads, files.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Server processes. Default: as the server's command says.")
    ] = None,
    command: Annotated[
        str | None,
        typer.Option(
            metavar='"uvicorn …"',
            help="How the server is started. Default: what Procfile, Dockerfile, compose or a unit says.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    settings: Settings = None,
) -> None:
    """Say what would hurt in production, and the fix for each. Exit code: 3 for a warning, 4 for an error.

    Imports the application, connects to the servers of its layers, and changes nothing.
    """
    from compat.cli.doctor.command import run

    use_settings(settings)
    raise typer.Exit(run(application, members=members, workers=workers, command=command, as_json=as_json))


class ReportFormat(str, Enum):
    text = "text"
    json = "json"
    github = "github"


class DjangoChoice(str, Enum):
    auto = "auto"
    keep = "keep"
    shim = "shim"


class PortOnly(str, Enum):
    imports = "imports"


class DocumentFormat(str, Enum):
    json = "json"
    yaml = "yaml"


@app.command()
def asyncapi(
    application: Annotated[
        str | None,
        typer.Argument(metavar="[MODULE:NAME]", help="Default: the setting ASGI_APPLICATION."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Default: the terminal.")
    ] = None,
    format: Annotated[
        DocumentFormat | None, typer.Option(help="Default: by the ending of FILE, else json.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="Default: the title of a FastAPI application.")] = None,
    api_version: Annotated[str | None, typer.Option(help="The version of the API.")] = None,
    server: Annotated[str, typer.Option(help="Where clients find it.")] = "ws://localhost:8000",
    settings: Settings = None,
) -> None:
    """Write the AsyncAPI 3.0 document of an application's typed consumers."""
    from compat.cli import asyncapi as asyncapi_command

    use_settings(settings)
    with errors_explained():
        asyncapi_command.write(
            application,
            output=output,
            format=format and format.value,
            title=title,
            version=api_version,
            server=server,
        )


@app.command()
def client(
    source: Annotated[
        str, typer.Argument(metavar="DOCUMENT", help="An AsyncAPI document as JSON, or MODULE:NAME.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="The package to write.")
    ] = Path("asyncapi_client"),
    settings: Settings = None,
) -> None:
    """Generate a typed Python client that stands on its own."""
    from compat.cli import client as client_command

    use_settings(settings)
    with errors_explained():
        client_command.write(source, output=output)


Project = Annotated[Path, typer.Argument(metavar="PATH", help="The project's folder, or one file.")]
DjangoOption = Annotated[
    DjangoChoice,
    typer.Option(
        "--django",
        help="keep: the project runs on the real Django. shim: on the part of Django that comes with "
        "channels-compat. auto: keep if Django is installed here.",
    ),
]


@app.command()
def check(
    path: Project = Path("."),
    format: Annotated[ReportFormat, typer.Option(help="How findings are written.")] = ReportFormat.text,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Leave out what runs unchanged.")] = False,
    django: DjangoOption = DjangoChoice.auto,
) -> None:
    """Say which files of a project run unchanged under the shim, and what becomes of the others.

    Reads only, and imports nothing of the project. Exit code: 0 if every file runs unchanged, 3 if something
    has to be ported or could not be tried, 4 if something needs Django or has no equal.
    """
    from compat.cli import check as check_command

    chosen = ReportFormat.json if as_json else format
    with errors_explained():
        code = check_command.check(path, format=chosen, django=django, everything=not quiet)
    raise typer.Exit(code)


@app.command()
def port(
    path: Project = Path("."),
    write: Annotated[bool, typer.Option("--write", help="Change the files; default: show a diff.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Also where git has uncommitted changes.")] = False,
    only: Annotated[PortOnly | None, typer.Option(help="Rewrite imports, and nothing else.")] = None,
    django: DjangoOption = DjangoChoice.auto,
) -> None:
    """Rewrite a project so that it imports compat, and needs no shim.

    Channels, channels_redis, fast_channels, chanx and fastapi_channels: imports, dotted names in settings and
    tests, routes. Formatting and comments stay. A second run changes nothing.
    """
    from compat.cli import port as port_command

    with errors_explained():
        code = port_command.port(path, write=write, force=force, only_imports=only is not None, django=django)
    raise typer.Exit(code)
