"""``manage.py runserver`` of the app "daphne" without Daphne: what it takes over, and what it refuses."""

# mypy: disable-error-code="import-not-found, misc, import-untyped"
# pyright: reportMissingImports=false, reportMissingModuleSource=false, reportAttributeAccessIssue=false

from __future__ import annotations

import io
from typing import Any

from compat.testing import WebsocketCommunicator
from tests.with_django.running import main

SETTINGS: dict[str, Any] = {
    "ALLOWED_HOSTS": ["*"],
    "ASGI_APPLICATION": "tests.with_django.live_project.application",
    "FORCE_SCRIPT_NAME": "/app",
    "ROOT_URLCONF": "tests.with_django.live_project",
    "STATIC_URL": "/static/",
}


def scenario_faults_autoreload_overrides_of_daphnes_methods_are_called() -> None:
    from daphne.management.commands.runserver import Command
    from django.core.management import call_command

    calls: list[str] = []

    class Wrapping(Command):
        def inner_run(self, *args: Any, **options: Any) -> None:
            calls.append("inner_run")
            super().inner_run(*args, **options)

        def get_application(self, options: Any) -> Any:
            calls.append("get_application")
            assert callable(super().get_application(options))
            raise SystemExit(7)

    try:
        call_command(Wrapping(), "127.0.0.1:0", use_reloader=False)
    except SystemExit as ending:
        assert ending.code == 7, ending
    assert calls == ["inner_run", "get_application"], calls


def scenario_what_has_no_effect_is_said() -> None:
    from daphne.management.commands.runserver import Command
    from daphne.server import Server
    from django.core.management import call_command

    class Served(Command):
        def get_application(self, options: Any) -> Any:
            raise SystemExit(7)

    class Own(Served):
        server_cls = Server

        def log_action(self, protocol: str, action: str, details: dict[str, Any]) -> None: ...

    for command, expected in ((Served, []), (Own, ["log_action", "server_cls"])):
        errors = io.StringIO()
        try:
            call_command(command(), "127.0.0.1:0", use_reloader=False, stderr=errors)
        except SystemExit as ending:
            assert ending.code == 7, ending
        said = [line.partition(" of this command")[0] for line in errors.getvalue().splitlines()]
        assert said == expected, said


def scenario_options_and_names_of_daphne() -> None:
    import daphne.testing
    from channels.routing import get_default_application
    from daphne.management.commands import runserver

    parser = runserver.Command().create_parser("manage.py", "runserver")
    options = ["--websocket-max-message-size", "10", "--websocket-max-frame-size", "0", "--http_timeout", "3"]
    assert parser.parse_args(options).websocket_max_message_size == 10
    assert runserver.get_default_application is get_default_application
    try:
        from daphne.testing import DaphneTestingInstance
    except ImportError as error:
        assert "install daphne" in str(error)
    else:
        raise AssertionError(DaphneTestingInstance)
    assert not hasattr(daphne.testing, "other")


async def scenario_sockets_have_the_script_name_as_their_root() -> None:
    from daphne.management.commands.runserver import Command

    for use_static_handler in (False, True):
        options = {"use_static_handler": use_static_handler, "insecure_serving": True}
        application = Command().get_application(options)
        communicator = WebsocketCommunicator(
            application, "/app/ws/", headers=[(b"origin", b"http://a.example")]
        )
        assert (await communicator.connect(timeout=10))[0]
        assert await communicator.receive_json_from(timeout=10) == 0
        await communicator.disconnect(timeout=10)


if __name__ == "__main__":
    main(__name__)
