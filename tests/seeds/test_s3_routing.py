"""S3-21 to S3-35: routing, the asgi module, and how the project is started."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from compat.auth import AuthMiddlewareStack
from compat.generic.websocket import AsyncJsonWebsocketConsumer
from compat.patterns import re_path
from compat.routing import ProtocolTypeRouter, URLRouter
from tests.seeds.conftest import Run, ServeTutorial
from tests.support.clients import Client, Refused, get
from tests.support.environments import Environment
from tests.support.paths import REPO
from tests.support.servers import LiveServer, Server
from tests.support.tutorial import Tutorial


def test_S3_21_re_path_resolves_without_django(run: Run) -> None:
    assert run("from django.urls import re_path; print(re_path.__name__)") == "re_path"


def test_S3_22_regex_without_leading_slash_with_a_named_group(room: Server) -> None:
    for path in ("/ws/chat/lobby/", "/ws/chat/A_1/", "//ws/chat/lobby/"):
        Client(room, path).close()
    for path in ("/ws/chat/lobby", "/ws/chat/a-b/", "/ws/chat/", "/ws/chat/lobby/more/", "/ws/chat/lobby/x"):
        with pytest.raises(Refused):
            Client(room, path)


class Named(AsyncJsonWebsocketConsumer):
    """Tells who it is, and what it was made with."""

    label = "default"

    def __init__(self, label: str) -> None:
        super().__init__()
        self.label = label

    async def receive_json(self, content: object, **kwargs: object) -> None:
        user, session = self.scope.get("user"), self.scope.get("session")
        await self.send_json(
            {
                "label": self.label,
                "self": id(self),
                "user": str(user),
                "anonymous": getattr(user, "is_anonymous", None),
                "authenticated": getattr(user, "is_authenticated", None),
                "cookies": self.scope.get("cookies"),
                "session": type(session).__name__ if session is not None else None,
                "url_route": self.scope["url_route"],
            }
        )


@pytest.fixture(scope="module")
def own() -> Iterator[LiveServer]:
    """FastAPI for http, consumers for websocket; and the cookies, session and user of AuthMiddlewareStack."""
    pages = FastAPI()

    @pages.get("/page")
    async def page() -> str:
        return "from FastAPI"

    routes = [
        re_path(r"^ws/(?P<name>\w+)/$", Named.as_asgi(label="by name")),
        re_path(r"^ws/(\w+)/(\d+)/$", Named.as_asgi(label="by position")),
        re_path(r"^ws/", Named.as_asgi(label="anything else")),
    ]
    websocket = AuthMiddlewareStack(URLRouter(routes))
    with LiveServer(ProtocolTypeRouter({"http": pages, "websocket": websocket})) as server:
        yield server


def asked(server: LiveServer, path: str, **options: object) -> dict[str, object]:
    with Client(server, path, **options) as client:  # type: ignore[arg-type]  # passed through as given
        client.send_json({})
        answer: dict[str, object] = client.receive_json()
        return answer


def test_S3_23_as_asgi_makes_an_instance_per_connection(own: LiveServer) -> None:
    with Client(own, "/ws/a/") as first, Client(own, "/ws/a/") as second:
        selves = []
        for client in (first, first, second):
            client.send_json({})
            selves.append(client.receive_json()["self"])
    assert selves[0] == selves[1] != selves[2]


def test_S3_24_routers_import(run: Run) -> None:
    code = (
        "from channels.routing import ProtocolTypeRouter, URLRouter\n"
        "import compat.routing as ours\n"
        "print(ProtocolTypeRouter is ours.ProtocolTypeRouter, URLRouter is ours.URLRouter)"
    )
    assert run(code) == "True True"


def test_S3_25_protocol_router_sends_http_to_fastapi(own: LiveServer) -> None:
    assert get(own, "/page").json() == "from FastAPI"
    assert asked(own, "/ws/a/")["label"] == "by name"


async def test_S3_25_protocol_router_raises_for_an_unknown_type() -> None:
    router = ProtocolTypeRouter({})

    async def unused(*_: object) -> None:
        raise AssertionError

    with pytest.raises(ValueError, match="No application configured for scope type 'lifespan'"):
        await router({"type": "lifespan"}, unused, unused)  # type: ignore[arg-type]  # never called


def test_S3_26_url_router_matches_in_the_order_of_the_list(own: LiveServer) -> None:
    labels = [asked(own, path)["label"] for path in ("/ws/a/", "/ws/a/1/", "/ws/a/b/c/", "/ws/")]
    assert labels == ["by name", "by position", "anything else", "anything else"]


def test_S3_27_auth_middleware_stack_fills_user_cookies_and_session(own: LiveServer) -> None:
    answer = asked(own, "/ws/a/", headers={"Cookie": "a=1; b=2"})
    assert (answer["user"], answer["anonymous"], answer["authenticated"]) == ("AnonymousUser", True, False)
    assert answer["cookies"] == {"a": "1", "b": "2"}
    assert answer["session"] is not None


def test_S3_28_foreign_origin_is_refused_with_403(room: Server) -> None:
    with pytest.raises(Refused) as refused:
        Client(room, "/ws/chat/lobby/", origin="http://evil.example")
    assert refused.value.status == 403
    Client(room, "/ws/chat/lobby/", origin=room.origin).close()
    room.process.wait_log("http://evil.example")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
@pytest.mark.parametrize("url", ["http://{}", "https://{}:8443"])
def test_S3_29_debug_without_allowed_hosts_admits_this_machine(room: Server, host: str, url: str) -> None:
    Client(room, "/ws/chat/lobby/", origin=url.format(host)).close()


@pytest.mark.parametrize("origin", ["http://localhost.evil.example", "http://10.0.0.1", "null", None])
def test_S3_29_and_nobody_else(room: Server, origin: str | None) -> None:
    with pytest.raises(Refused) as refused:
        Client(room, "/ws/chat/lobby/", origin=origin)
    assert refused.value.status == 403


def test_S3_30_validator_auth_stack_and_router_compose(run: Run) -> None:
    code = (
        "import mysite.asgi\n"
        "app = mysite.asgi.application.application_mapping['websocket']\n"
        "names = []\n"
        "while app is not None:\n"
        "    names.append(type(app).__name__)\n"
        "    app = getattr(app, 'application', None) or getattr(app, 'inner', None)\n"
        "print(*names)"
    )
    expected = "OriginValidator CookieMiddleware SessionMiddleware AuthMiddleware URLRouter"
    assert run(code) == expected


def test_S3_31_settings_variable_and_django_application_as_in_the_tutorial(
    bare: Environment, project: Path
) -> None:
    """asgi.py names the settings itself, and its django application answers http."""
    code = (
        "import os, mysite.asgi as asgi\n"
        "print(os.environ['DJANGO_SETTINGS_MODULE'])\n"
        "print(asgi.application.application_mapping['http'] is asgi.django_asgi_app)"
    )
    done = bare.run("django-shim", "python", "-c", code, cwd=project)
    assert done.stdout.split() == ["mysite.settings", "True"], done.stderr


def test_S3_32_application_runs_under_uvicorn(room: Server) -> None:
    assert "Uvicorn running on" in room.process.wait_log("Uvicorn running on")
    assert get(room, "/chat/").status_code == 200


def test_S3_33_unmatched_path_is_refused_and_the_server_goes_on(room: Server) -> None:
    before = len(room.log())
    for _ in range(2):
        with pytest.raises(Refused) as refused:
            Client(room, "/ws/nobody/listens/")
        assert refused.value.status in (403, 404)
    Client(room, "/ws/chat/lobby/").close()
    assert "Traceback" not in room.log()[before:]


def test_S3_34_migrate_succeeds(env: Environment, tutorial: Tutorial) -> None:
    project = tutorial.project(layer="memory")
    done = env.run("django-shim", "python", "manage.py", "migrate", cwd=project)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_S3_34_runserver_serves(env: Environment, serve_tutorial: ServeTutorial) -> None:
    server = serve_tutorial(env, how="runserver")
    assert get(server, "/chat/").status_code == 200
    Client(server, "/ws/chat/lobby/").close()


def test_S3_35_docs_keep_the_advice_on_the_ws_prefix() -> None:
    porting = (REPO / "docs" / "porting.md").read_text(encoding="utf-8")
    section = " ".join(porting.partition("### A path prefix for sockets")[2].partition("\n#")[0].split())
    assert "begin the paths of sockets with `/ws/`" in section
    assert "different servers by their path" in section  # and why
    nginx = (REPO / "docs" / "howto" / "nginx.md").read_text(encoding="utf-8")
    assert "Begin the paths of sockets with `/ws/`" in nginx
