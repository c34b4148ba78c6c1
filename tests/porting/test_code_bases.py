"""Code bases of the package index after `port --write`: they import, and their tests pass, without a shim.

strawberry-graphql (38,000 lines; its channels integration), djangochannelsrestframework and django-sio, from
their sdists. strawberry's has no tests: a subscription over its consumer stands in.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.porting.code_bases import CODE_BASES, CodeBase, bases_environment
from tests.porting.projects import check, claimed, failing_imports, port, without_cache

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

BY_NAME = {base.name: base for base in CODE_BASES}

SUBSCRIPTION = """
import asyncio
import strawberry
from strawberry.channels import GraphQLWSConsumer
from strawberry.channels.testing import GraphQLWebsocketCommunicator


@strawberry.type
class Query:
    hello: str = "hello"


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def count(self, upto: int) -> "typing.AsyncGenerator[int, None]":
        for number in range(upto):
            yield number

    @strawberry.subscription
    async def heard(self, info: strawberry.Info) -> "typing.AsyncGenerator[str, None]":
        ws = info.context["ws"]
        async with ws.listen_to_channel("said", groups=["room"]) as events:
            await ws.channel_layer.group_send("room", {"type": "said", "text": "hi"})
            async for event in events:
                yield event["text"]
                return


async def main():
    schema = strawberry.Schema(query=Query, subscription=Subscription)
    application = GraphQLWSConsumer.as_asgi(schema=schema)
    async with GraphQLWebsocketCommunicator(application, "/graphql") as client:
        print([result.data async for result in client.subscribe("subscription { count(upto: 3) }")])
    async with GraphQLWebsocketCommunicator(application, "/graphql") as client:
        print([result.data async for result in client.subscribe("subscription { heard }")])


import typing
from compat.settings import configure
configure(CHANNEL_LAYERS={"default": {"BACKEND": "compat.layers.InMemoryChannelLayer"}})
asyncio.run(main())
"""


@pytest.fixture(scope="module", params=BY_NAME)
def base(request: pytest.FixtureRequest) -> CodeBase:
    return BY_NAME[request.param]


@pytest.fixture(scope="module")
def ported(base: CodeBase, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code base, ported with Django's names as they are."""
    project = base.unpacked(tmp_path_factory.mktemp("base"))
    assert "ported" in port(project, "keep", "--write")
    return project


def files_of(base: CodeBase, report: Any) -> list[Any]:
    beginnings = tuple(f"{package}." for package in base.packages)
    return [file for file in report["files"] if f"{file['module']}.".startswith(beginnings)]


def test_a_second_run_changes_nothing(ported: Path) -> None:
    before = without_cache(ported)
    assert "nothing to port" in port(ported, "keep", "--write")
    assert without_cache(ported) == before


def test_nothing_of_channels_is_imported_any_more(base: CodeBase, ported: Path) -> None:
    env = bases_environment("bases")
    report = check(ported, env, "keep")
    messages = [finding["message"] for file in report["files"] for finding in file["findings"]]
    assert not [message for message in messages if message.startswith(("channels", "daphne"))]
    files = files_of(base, report)
    settings = "bases_settings" if base.left_out else ""
    assert files and failing_imports(ported, env, files, settings=settings) == {}


def test_its_own_tests_pass(base: CodeBase, ported: Path) -> None:
    if not base.tests:
        pytest.skip("its sdist has no tests; see the subscription below")
    env = bases_environment("bases")
    command = (
        "python",
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--ds",
        "bases_settings",
        *(f"--deselect={test}" for test in base.races),
        *base.tests,
    )
    done = env.run(*command, cwd=ported, deadline_s=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout and "failed" not in done.stdout


def test_a_subscription_of_strawberry(tmp_path: Path) -> None:
    project = BY_NAME["strawberry-graphql"].unpacked(tmp_path)
    port(project, "keep", "--write")
    variables = {"DJANGO_SETTINGS_MODULE": "none_at_all"}
    (project / "none_at_all.py").write_text("SECRET_KEY = 'x'\n", encoding="utf-8")
    done = bases_environment("bases").run("python", "-c", SUBSCRIPTION, cwd=project, env=variables)
    assert done.stdout.splitlines() == [
        "[{'count': 0}, {'count': 1}, {'count': 2}]",
        "[{'heard': 'hi'}]",
    ], done.stderr


@pytest.mark.parametrize(("name", "django"), [("bases", "keep"), ("bases-bare", "shim")])
def test_what_check_says_of_it_is_true(base: CodeBase, name: str, django: str, tmp_path: Path) -> None:
    """Each file that is said to run unchanged is imported under the shim, before any port."""
    project = base.unpacked(tmp_path)
    env = bases_environment(name)
    report = check(project, env, django)
    settings = "bases_settings" if base.left_out else ""
    assert failing_imports(project, env, claimed(report), settings=settings, shim=True) == {}
    assert report["counts"]["runs"]
    print(base.name, report["summary"])
