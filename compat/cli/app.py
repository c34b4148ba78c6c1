"""The commands of ``channels-compat``, their options, and how errors are printed."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

import compat
from compat.cli import client as client_command
from compat.cli import layers as layers_command
from compat.cli import runserver as runserver_command
from compat.cli import worker as worker_command
from compat.cli.client import Language
from compat.cli.options import Application, Settings, errors_explained, use_settings

__all__ = ["app"]

app = typer.Typer(
    help="Consumers, channel layers and a development server: the Channels API without Django.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


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
    application: Application = None,
    host: Annotated[
        str, typer.Option(help="The address to listen on; 0.0.0.0 for every interface.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 for any free port.")] = 8000,
    reload: Annotated[
        bool, typer.Option("--reload/--noreload", help="Restart the server when a file changes.")
    ] = True,
    workers: Annotated[
        int, typer.Option(min=1, help="Number of processes. More than one needs Redis and --noreload.")
    ] = 1,
    settings: Settings = None,
) -> None:
    """Serve an application during development.

    The server restarts when a file changes. If Redis cannot be reached, the server says so and uses channel
    layers in memory. In production run uvicorn itself: there an unreachable Redis is an error.
    """
    use_settings(settings)
    with errors_explained():
        runserver_command.serve(application, host=host, port=port, reload=reload, workers=workers)


@app.command()
def worker(
    channels: Annotated[list[str], typer.Argument(metavar="CHANNEL", help="The channels to listen on.")],
    application: Annotated[
        str | None,
        typer.Option(
            "--app", metavar="MODULE:NAME", help="The application. Default: the setting ASGI_APPLICATION."
        ),
    ] = None,
    layer: Annotated[str, typer.Option(help="The alias of the channel layer.")] = "default",
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
            help="The application, if it configures the layers itself. Default: the settings module, which "
            "manage.py may name.",
        ),
    ] = None,
    settings: Settings = None,
    dead: Annotated[
        bool,
        typer.Option("--dead", help="Show the dead letters of streams layers: jobs that nobody can handle."),
    ] = False,
) -> None:
    """Test each configured channel layer: connect to its server, send a message through it, measure the time.

    The exit code is 1 if a test fails or no layer is configured; the last lines of a layer say what is wrong.
    With --dead it is 1 if there are dead letters.
    """
    use_settings(settings)
    with errors_explained():
        fine = layers_command.show_dead(application) if dead else layers_command.show(application)
        if not fine:
            raise typer.Exit(1)


@app.command()
def history(
    group: Annotated[str, typer.Argument(metavar="GROUP", help="The group, such as chat_lobby.")],
    application: Application = None,
    count: Annotated[int | None, typer.Option(min=1, help="How many messages. Default: all.")] = None,
    layer: Annotated[str, typer.Option(help="The alias of the channel layer.")] = "default",
    settings: Settings = None,
) -> None:
    """Print the history of a group: the id and the content of each message, the oldest first.

    The exit code is 1 if the layer keeps no history of the group.
    """
    use_settings(settings)
    with errors_explained():
        layers_command.show_history(group, application, count=count, layer=layer)


@app.command()
def presence(
    group: Annotated[str, typer.Argument(metavar="GROUP", help="The group, such as chat_lobby.")],
    application: Application = None,
    layer: Annotated[str, typer.Option(help="The alias of the channel layer.")] = "default",
    settings: Settings = None,
) -> None:
    """Print who is in a group, on all servers: each person with the number of their connections."""
    use_settings(settings)
    with errors_explained():
        layers_command.show_presence(group, application, layer=layer)


@app.command()
def top(
    application: Application = None,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Look once, and end.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each look.")] = False,
    settings: Settings = None,
) -> None:
    """Show what the processes of an application do: sockets, messages, losses.

    They meet in the Redis of their channel layers. Ends with Ctrl-C.
    """
    use_settings(settings)
    with errors_explained():
        from compat.cli import top as top_command

        top_command.show(application, every_s=every, once=once, as_json=as_json)


@app.command()
def doctor(
    application: Application = None,
    members: Annotated[
        int | None,
        typer.Option(
            min=1, help="Expected connections in one room; checks capacity, threads and open files."
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Number of server processes. Default: from the server's command."),
    ] = None,
    command: Annotated[
        str | None,
        typer.Option(
            metavar='"uvicorn …"',
            help="The command that starts the server. Default: the commands in Procfile, Dockerfile, "
            "compose files, systemd units, supervisord.conf and fly.toml.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    settings: Settings = None,
) -> None:
    """Find what would fail in production, and say how to fix it. Exit code: 3 for a warning, 4 for an error.

    The doctor imports the application, connects to the servers of its channel layers, and changes nothing.
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
    application: Application = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="The file to write. Default: the terminal."),
    ] = None,
    format: Annotated[
        DocumentFormat | None, typer.Option(help="Default: from the suffix of FILE, else json.")
    ] = None,
    title: Annotated[
        str | None, typer.Option(help="The title of the API. Default: that of the FastAPI application.")
    ] = None,
    api_version: Annotated[str | None, typer.Option(help="The version of the API.")] = None,
    server: Annotated[str, typer.Option(help="The URL that clients connect to.")] = "ws://localhost:8000",
    settings: Settings = None,
) -> None:
    """Write the AsyncAPI 3.0 document of an application's typed consumers."""
    use_settings(settings)
    with errors_explained():
        from compat.cli import asyncapi as asyncapi_command

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
    language: Annotated[
        Language,
        typer.Option(help="python: a package for pydantic and websockets. js: a module for browsers."),
    ] = Language.PYTHON,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="The folder of the package (default: asyncapi_client), or the file of the module "
            "(default: asyncapi_client.mjs).",
        ),
    ] = None,
    socket: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="With --language js: from where the module imports Socket. Default: /_channels/socket.mjs.",
        ),
    ] = None,
    settings: Settings = None,
) -> None:
    """Generate a typed client: a package for Python, or a module for pages."""
    use_settings(settings)
    with errors_explained():
        client_command.write(source, language=language, output=output, socket=socket)


Project = Annotated[Path, typer.Argument(metavar="PATH", help="The project's folder, or one file.")]
DjangoOption = Annotated[
    DjangoChoice,
    typer.Option(
        "--django",
        help="keep: the project runs on the real Django. shim: it runs on the subset of Django in "
        "channels-compat. auto: keep if Django is installed in this environment, else shim.",
    ),
]


@app.command()
def check(
    path: Project = Path("."),
    format: Annotated[ReportFormat, typer.Option(help="The format of the report.")] = ReportFormat.text,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Leave out references that work unchanged.")
    ] = False,
    django: DjangoOption = DjangoChoice.auto,
) -> None:
    """Report which files of a project run unchanged under the shim, and what to change in the others.

    Files are read, and no module of the project is imported. Exit code: 0 if every file runs unchanged, 3 if
    a file has to be ported, could not be checked or runs with a warning (a method of the wrong kind), 4 if a
    file needs Django or uses a name without an equivalent.
    """
    from compat.cli import check as check_command

    chosen = ReportFormat.json if as_json else format
    with errors_explained():
        code = check_command.check(path, format=chosen, django=django, everything=not quiet)
    raise typer.Exit(code)


@app.command()
def port(
    path: Project = Path("."),
    write: Annotated[bool, typer.Option("--write", help="Change the files. Default: show a diff.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Write although git has uncommitted changes.")
    ] = False,
    only: Annotated[PortOnly | None, typer.Option(help="Rewrite imports only.")] = None,
    django: DjangoOption = DjangoChoice.auto,
) -> None:
    """Rewrite a project so that it imports compat and does not need the shim.

    The command rewrites imports of channels, channels_redis, fast_channels, chanx and fastapi_channels, their
    dotted names in settings and tests, and routes. It keeps formatting and comments. A second run changes
    nothing. The exit code is 1 if a file could not be read or written.
    """
    from compat.cli import port as port_command

    with errors_explained():
        code = port_command.port(path, write=write, force=force, only_imports=only is not None, django=django)
    raise typer.Exit(code)
