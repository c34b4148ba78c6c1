"""``manage.py runserver`` of the app "daphne" without Daphne: what it takes over, and what it refuses."""

# mypy: disable-error-code="import-not-found, misc, import-untyped"
# pyright: reportMissingImports=false, reportMissingModuleSource=false, reportAttributeAccessIssue=false

from __future__ import annotations

from typing import Any

from tests.with_django.running import main

SETTINGS: dict[str, Any] = {
    "ALLOWED_HOSTS": ["*"],
    "ASGI_APPLICATION": "tests.with_django.live_project.application",
    "FORCE_SCRIPT_NAME": "/app",
    "ROOT_URLCONF": "tests.with_django.live_project",
    "STATIC_URL": "/static/",
}


def scenario_an_override_that_is_never_called_is_named() -> None:
    from daphne.management.commands.runserver import Command
    from django.core.management import CommandError, call_command

    class Announcing(Command):
        def inner_run(self, *args: Any, **options: Any) -> None: ...

    class Wrapping(Command):
        def get_application(self, options: Any) -> Any: ...

    class Below(Wrapping): ...

    for command, named in ((Announcing, "inner_run"), (Wrapping, "get_application"), (Below, "Wrapping")):
        try:
            call_command(command(), use_reloader=False)
        except CommandError as error:
            assert named in str(error) and "never called" in str(error), error
        else:
            raise AssertionError(f"{named} was skipped without a word")


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
    from daphne.management.commands.runserver import load, load_with_static_files

    from compat.testing import WebsocketCommunicator

    for loaded in (load, load_with_static_files):
        application = loaded("tests.with_django.live_project:application")
        communicator = WebsocketCommunicator(
            application, "/app/ws/", headers=[(b"origin", b"http://a.example")]
        )
        assert (await communicator.connect(timeout=10))[0]
        assert await communicator.receive_json_from(timeout=10) == 0
        await communicator.disconnect()


if __name__ == "__main__":
    main(__name__)
