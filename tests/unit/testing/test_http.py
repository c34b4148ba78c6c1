"""One request and its whole response."""

from __future__ import annotations

import json
from typing import Any

import pytest

from compat.testing import HttpCommunicator
from compat.types import Message, Receive, Scope, Send


async def report(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the scope and the body it got."""
    request = await receive()
    text = json.dumps({**scope, "body": request["body"]}, default=lambda value: value.decode())
    await send({"type": "http.response.start", "status": 201, "headers": [(b"x-kind", b"report")]})
    await send({"type": "http.response.body", "body": text.encode()})


def answering(*messages: Message) -> Any:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for message in messages:
            await send(message)

    return app


async def test_the_request_arrives_and_the_response_comes_back() -> None:
    communicator = HttpCommunicator(
        report, "post", "/caf%C3%A9/?a=1&b=%20", body=b"hello", headers=[(b"host", b"example.org")]
    )
    response = await communicator.get_response()
    assert response["status"] == 201 and response["headers"] == [(b"x-kind", b"report")]
    assert json.loads(response["body"]) == {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": "/café/",
        "query_string": "a=1&b=%20",
        "headers": [["host", "example.org"]],
        "body": "hello",
    }


@pytest.mark.parametrize(
    ("made", "method", "body"),
    [
        (lambda: HttpCommunicator(report, "/page", method="post", body=b"x"), "POST", "x"),
        (lambda: HttpCommunicator(report, "/page"), "GET", ""),
        (lambda: HttpCommunicator(report, path="/page", body=b"x"), "GET", "x"),
        (lambda: HttpCommunicator(report, "PUT", path="/page"), "PUT", ""),
        (lambda: HttpCommunicator(report, method="PUT", path="/page"), "PUT", ""),
        (lambda: HttpCommunicator(application=report, method="PUT", path="/page"), "PUT", ""),
        (lambda: HttpCommunicator(report, "PUT", "/page", b"x", [(b"a", b"b")]), "PUT", "x"),
    ],
)
async def test_the_method_is_before_the_path_or_has_its_name(made: Any, method: str, body: str) -> None:
    """Channels has it before the path; fast-channels has the path alone, and names the method."""
    told = json.loads((await made().get_response())["body"])
    assert (told["method"], told["path"], told["body"]) == (method, "/page", body)


@pytest.mark.parametrize(
    ("arguments", "named", "why"),
    [
        (["/page", "POST"], {}, r"'/page', 'POST'\): only the path may come before method="),
        (["/page"], {"path": "/page"}, "only the path may come before method="),
        (["GET"], {}, "argument: 'path'"),
        ([], {}, "argument: 'path'"),
        (["GET", "/"], {"bodies": b""}, "unexpected keyword argument 'bodies'"),
    ],
)
def test_a_call_in_neither_form(arguments: list[str], named: dict[str, Any], why: str) -> None:
    with pytest.raises(TypeError, match=why):
        HttpCommunicator(report, *arguments, **named)


async def test_a_request_that_is_sent_by_hand_in_parts() -> None:
    async def joining(scope: Scope, receive: Receive, send: Send) -> None:
        first, second = await receive(), await receive()
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": first["body"] + second["body"]})
        assert first["more_body"] and "more_body" not in second

    communicator = HttpCommunicator(joining, "POST", "/", body=b"one ")
    await communicator.send_request(more_body=True)
    await communicator.send_input({"type": "http.request", "body": b"two"})
    assert (await communicator.get_response())["body"] == b"one two"


async def test_without_headers_there_are_none_on_either_side() -> None:
    app = answering({"type": "http.response.start", "status": 204}, {"type": "http.response.body"})
    communicator = HttpCommunicator(app, "GET", "/")
    assert communicator.scope["headers"] == []
    assert await communicator.get_response() == {"status": 204, "headers": [], "body": b""}


async def test_a_body_in_parts_is_joined() -> None:
    app = answering(
        {"type": "http.response.start", "status": 200},
        {"type": "http.response.body", "body": b"one ", "more_body": True},
        {"type": "http.response.body", "body": b"two"},
    )
    assert (await HttpCommunicator(app, "GET", "/").get_response())["body"] == b"one two"


async def test_the_request_is_sent_once() -> None:
    communicator = HttpCommunicator(report, "GET", "/")
    await communicator.get_response()
    assert communicator.sent_request and communicator.input_queue.empty()


def test_the_body_must_be_bytes() -> None:
    body: Any = "text"
    with pytest.raises(AssertionError, match="body must be bytes, not str"):
        HttpCommunicator(report, "GET", "/", body=body)


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        (
            [{"type": "http.response.body"}],
            "Expected type 'http.response.start', but was 'http.response.body'",
        ),
        ([{"type": "http.response.start", "status": 200}] * 2, "Expected type 'http.response.body'"),
        (
            [{"type": "http.response.start", "status": 200}, {"type": "http.response.body", "body": "text"}],
            "body must be bytes, not str",
        ),
    ],
)
async def test_what_does_not_belong_into_a_response(messages: list[Message], text: str) -> None:
    with pytest.raises(AssertionError, match=text):
        await HttpCommunicator(answering(*messages), "GET", "/").get_response()


async def test_an_error_of_the_application_reaches_the_test() -> None:
    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        raise LookupError("no such page")

    with pytest.raises(LookupError, match="no such page"):
        await HttpCommunicator(fails, "GET", "/").get_response()
